//! Consumes order.created: reserve, confirm or cancel, notify.
