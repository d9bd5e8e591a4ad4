//! Consumes `order.created`: reserves the stock, confirms or cancels the order, has a mail sent.
//!
//! - [`handler`] is what happens with one order, from the message to the mail; step four of the
//!   lesson, and the file to read;
//! - [`inventory`], [`orders`] and [`email`] are the three services that it asks, each with what
//!   their answers mean;
//! - [`answer`] says which answers are failures, and of which class;
//! - [`readiness`]: when the worker is ready.
//!
//! Nothing in here speaks of traces. The consumer runs the handler inside the message's `process`
//! span, the HTTP client makes spans of its calls, and the order's id comes along as baggage.

pub mod answer;
pub mod email;
pub mod handler;
pub mod inventory;
pub mod orders;
pub mod readiness;
