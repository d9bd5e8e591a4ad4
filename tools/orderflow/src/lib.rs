//! PostgreSQL, Kafka and the services on one machine, without Docker.
//!
//! As a library for tests, which start what they need and leave nothing behind; as a program for
//! people. Real servers both times: the ones that run in production, fetched through Maven.

pub mod artifacts;
pub mod binaries;
pub mod broker;
pub mod dead_letters;
pub mod java;
pub mod kafka;
mod passwords;
pub mod postgres;
pub mod process;
mod reach;
pub mod services;
pub mod stack;
pub mod testing;
pub mod tree;
mod watchdog;
