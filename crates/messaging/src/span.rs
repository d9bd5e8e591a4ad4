//! How a span says that its work failed.

use std::borrow::Cow;

use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;

/// `error.type` of work whose future was dropped before it was done.
pub(crate) const CANCELLED: &str = "cancelled";

/// Marks the current span of `context` as failed. Does nothing once the span has ended.
pub(crate) fn fail(
    context: &Context,
    error_type: impl Into<Cow<'static, str>>,
    description: impl Into<Cow<'static, str>>,
) {
    let span = context.span();
    span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.into()));
    span.set_status(Status::error(description));
}
