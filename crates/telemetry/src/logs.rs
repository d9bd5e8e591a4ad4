//! Prints log lines as JSON, one object a line, each with the ids of its trace and span.
//!
//! `tracing-subscriber`'s own JSON does not have these ids. They are read from the current OpenTelemetry
//! context, so they are also right in spans that were not made by `tracing`. The fields of the enclosing
//! spans are not repeated in each line, because the span has them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use serde::Serialize;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::{Layer, fmt as subscriber_fmt, registry::LookupSpan};

use crate::causes;
use crate::export::SUPPRESSED_EVENTS;

/// The filter if `RUST_LOG` is not set. OpenTelemetry logs its normal work at `info`, so it gets `warn`.
pub(crate) const DEFAULT_FILTER: &str = "info,opentelemetry=warn";

/// The layer that prints the lines which `filter`, in `RUST_LOG`'s syntax, lets through.
pub(crate) fn layer<S>(
    service: String,
    filter: Option<&str>,
) -> Result<impl Layer<S> + Send + Sync + use<S>, ParseError>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let filter = EnvFilter::try_new(filter.unwrap_or(DEFAULT_FILTER))?;
    let is_printed = filter_fn(|event| !SUPPRESSED_EVENTS.contains(&event.name()));
    Ok(subscriber_fmt::layer()
        .event_format(JsonLine { service })
        .with_filter(filter.and(is_printed)))
}

struct JsonLine {
    service: String,
}

/// The fields of a line, in the order in which they are printed.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    service: &'a str,
    target: &'a str,
    message: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'static str, Value>,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (trace_id, span_id) = current_ids();
        let line = Line {
            timestamp: now()?,
            level: event.metadata().level().as_str(),
            service: &self.service,
            target: event.metadata().target(),
            message: fields.0.remove("message").unwrap_or_default(),
            trace_id,
            span_id,
            fields: fields.0,
        };
        let json = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{json}")
    }
}

fn now() -> Result<String, fmt::Error> {
    let mut timestamp = String::new();
    SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
    Ok(timestamp)
}

fn current_ids() -> (Option<String>, Option<String>) {
    Context::map_current(|context| {
        let span = context.span();
        let ids = Some(span.span_context()).filter(|ids| ids.is_valid());
        (
            ids.map(|ids| ids.trace_id().to_string()),
            ids.map(|ids| ids.span_id().to_string()),
        )
    })
}

/// An event's fields. Numbers and Booleans keep their types.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    /// An error is printed with its causes.
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.insert(field, causes::of(error));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}
