//! Takes OTLP, answers Jaeger's query API, and shows traces in the browser.
//!
//! It replaces Jaeger where there is no Docker, and shows what Jaeger does not: how long a message was in the
//! queue, and what became of an order. Unlike Jaeger it keeps traces in memory only, and drops them when the
//! memory is used up.

mod answers;
mod app;
mod config;
mod host;
mod jaeger;
mod model;
mod otlp;
mod page;
mod server;
mod settings;
mod store;
mod view;

pub use config::Config;
pub use server::Viewer;
