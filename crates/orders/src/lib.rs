//! Creates and lists orders, owns their status, publishes order.created.
