//! The whole system, from outside: orders go in over HTTP, and what comes out is held against what was
//! promised.
//!
//! - [`one_trace`]: what the trace of an order looks like, to the last span. Read this first;
//! - [`apart`]: the same without propagation, and what else of telemetry must not disturb;
//! - [`reads`]: what is asked for leaves traces as well, and they are nobody's order;
//! - [`bad_input`]: what is refused, how, and that it changes nothing;
//! - [`compression`]: orders are handled whatever codec their topic has;
//! - [`leaving`]: a consumer whose future is dropped leaves its group;
//! - [`faults`]: what holds when things are killed, stopped, sent twice or make no sense;
//! - [`chaos`]: all of that at random, for as long as you like.

mod database;
mod load;
mod support;
mod topic;

mod apart;
mod bad_input;
mod chaos;
mod compression;
mod faults;
mod leaving;
mod one_trace;
mod reads;
