//! Takes OTLP, answers as Jaeger's query API does, and shows a trace in the browser.
//!
//! It stands in for Jaeger where there is no Docker, and it shows what Jaeger does not: the time that a
//! message spent in the queue. It is no Jaeger: traces live in memory only, and go when the room is used up.

mod config;
mod host;
mod jaeger;
mod model;
mod otlp;
mod page;
mod server;
mod store;
mod view;

pub use config::Config;
pub use server::Viewer;
