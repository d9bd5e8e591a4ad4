//! Sends the mail, once for each order and kind.
