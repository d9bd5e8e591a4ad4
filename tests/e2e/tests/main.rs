//! The whole system, from outside: orders go in over HTTP, and what comes out is held against what was
//! promised.
//!
//! - [`one_trace`]: what the trace of an order looks like, to the last span. Read this first;
//! - [`apart`]: the same without propagation, and what else of telemetry must not disturb;
//! - [`reads`]: what is asked for leaves traces as well, and they are nobody's order;
//! - [`bad_input`]: what is refused, how, and that it changes nothing.

mod database;
mod support;

mod apart;
mod bad_input;
mod one_trace;
mod reads;
