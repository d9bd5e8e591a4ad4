//! Where every service gets its memory from.
//!
//! An order is thousands of small pieces that live for some milliseconds: requests, rows, spans and
//! their attributes. jemalloc hands such pieces out faster than the C library's allocator, and a thread
//! of its own gives back to the system what a burst of orders has left behind. librdkafka, which is C,
//! gets its memory from there too. Its settings are made when it is built: `.cargo/config.toml`.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
