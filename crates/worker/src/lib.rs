//! Consumes `order.created`: reserves the stock, confirms or cancels the order, and has email send the mail.
//!
//! - [`handler`] is what happens with one order, from the message to the mail; step four of the
//!   lesson, and the file to read;
//! - [`inventory`], [`orders`] and [`email`] are the clients of the three services, each with what
//!   the answers mean;
//! - [`answer`] says which answers are failures, and of which class;
//! - [`readiness`]: when the worker is ready.
//!
//! The consumer runs the handler inside the message's `process` span, and the HTTP client makes spans of its calls. All
//! that the handler adds is the order's id, which it takes from the message.

pub mod answer;
pub mod email;
pub mod handler;
pub mod inventory;
pub mod orders;
pub mod readiness;
