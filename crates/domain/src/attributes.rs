//! Names of the span attributes that the services add to those of OpenTelemetry's conventions.

/// The order's id. Every span of an order has it, and baggage of this name carries it between processes.
pub const ORDER_ID: &str = "order.id";
/// The prefix of what `messaging` and `delivery` add.
pub const MESSAGING: &str = "orderflow.messaging";
/// How long a message was in the queue before it was first processed, in seconds.
pub const QUEUE_TIME: &str = "orderflow.messaging.queue_time";
/// Which retry of a message this is; absent on the first try.
pub const RETRY_COUNT: &str = "orderflow.messaging.retry_count";
/// How long a row waited in the outbox before it was sent, in seconds.
pub const OUTBOX_WAIT_TIME: &str = "orderflow.outbox.wait_time";
