//! The `code` of an answer that refuses stock: what inventory writes and the worker decides by.
//!
//! A status alone decides nothing: a router, a proxy or a wrong base URL answers 404 and 409 as well.

/// 404: there is no such item.
pub const UNKNOWN_ITEM: &str = "unknown_item";
/// 409: there is not enough of the item, or the order has given it back already.
pub const NOT_ENOUGH: &str = "not_enough";
