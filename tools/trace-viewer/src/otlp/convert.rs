//! From protobuf's structs to the model.
//!
//! A span that cannot be kept is rejected by itself, with a reason; the rest of its request is kept.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{Span as ProtoSpan, Status as ProtoStatus, span};
use serde_json::json;

use super::Rejected;
use crate::model::{
    Attribute, Event, Float, Kind, Link, LogLine, Resource, Scope, Span, SpanId, Status,
    StatusCode, TraceId, Value,
};

/// The items of a request.
#[derive(Debug)]
pub(super) struct Batch<T> {
    /// The items to keep.
    pub(super) items: Vec<T>,
    /// The others.
    pub(super) rejected: Rejected,
}

impl<T> Batch<T> {
    fn new() -> Self {
        Self {
            items: Vec::new(),
            rejected: Rejected::default(),
        }
    }

    fn take(&mut self, item: Result<T, String>) {
        match item {
            Ok(item) => self.items.push(item),
            Err(reason) => self.rejected.add(1, reason),
        }
    }
}

/// The spans of a request.
#[must_use]
pub(super) fn spans(request: ExportTraceServiceRequest) -> Batch<Span> {
    let mut batch = Batch::new();
    for of_resource in request.resource_spans {
        let resource = Arc::new(resource(of_resource.resource.unwrap_or_default()));
        for of_scope in of_resource.scope_spans {
            let scope = Arc::new(scope(of_scope.scope.unwrap_or_default()));
            for span in of_scope.spans {
                batch.take(self::span(span, &resource, &scope));
            }
        }
    }
    batch
}

/// The log lines of a request. Lines written outside any trace are neither kept nor rejected.
#[must_use]
pub(super) fn log_lines(request: ExportLogsServiceRequest) -> Batch<LogLine> {
    let mut batch = Batch::new();
    for of_resource in request.resource_logs {
        let resource = Arc::new(resource(of_resource.resource.unwrap_or_default()));
        for record in of_resource
            .scope_logs
            .into_iter()
            .flat_map(|scope| scope.log_records)
        {
            if let Some(trace_id) = TraceId::from_bytes(&record.trace_id) {
                batch.take(Ok(log_line(record, trace_id, &resource)));
            }
        }
    }
    batch
}

fn span(span: ProtoSpan, resource: &Arc<Resource>, scope: &Arc<Scope>) -> Result<Span, String> {
    let trace_id = TraceId::from_bytes(&span.trace_id)
        .ok_or_else(|| bad_id(&span.name, "trace id", 16, &span.trace_id))?;
    let id = SpanId::from_bytes(&span.span_id)
        .ok_or_else(|| bad_id(&span.name, "span id", 8, &span.span_id))?;
    if !matches!(span.parent_span_id.len(), 0 | 8) {
        return Err(bad_id(
            &span.name,
            "parent's span id",
            8,
            &span.parent_span_id,
        ));
    }
    Ok(Span {
        trace_id,
        id,
        parent: SpanId::from_bytes(&span.parent_span_id),
        name: span.name.into(),
        kind: kind(span.kind),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        status: status(span.status.unwrap_or_default()),
        trace_state: span.trace_state.into(),
        attributes: attributes(span.attributes).into(),
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().map(link).collect(),
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
    })
}

fn bad_id(name: &str, what: &str, length: usize, id: &[u8]) -> String {
    let found = match id.len() {
        found if found == length => "all zero".to_owned(),
        found => format!("{found} bytes long"),
    };
    format!("span '{name}': the {what} must be {length} bytes, not all zero; it is {found}")
}

fn kind(kind: i32) -> Kind {
    match kind {
        1 => Kind::Internal,
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn status(status: ProtoStatus) -> Status {
    let code = match status.code {
        1 => StatusCode::Ok,
        2 => StatusCode::Error,
        _ => StatusCode::Unset,
    };
    Status {
        code,
        message: status.message.into(),
    }
}

fn event(event: span::Event) -> Event {
    Event {
        time: event.time_unix_nano,
        name: event.name.into(),
        attributes: attributes(event.attributes).into(),
    }
}

fn link(link: span::Link) -> Link {
    Link {
        trace_id: TraceId::from_bytes(&link.trace_id),
        span_id: SpanId::from_bytes(&link.span_id),
        attributes: attributes(link.attributes).into(),
    }
}

fn log_line(record: LogRecord, trace_id: TraceId, resource: &Arc<Resource>) -> LogLine {
    let time = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    };
    LogLine {
        trace_id,
        span_id: SpanId::from_bytes(&record.span_id),
        time,
        severity: record.severity_number,
        body: value(record.body),
        attributes: attributes(record.attributes).into(),
        resource: Arc::clone(resource),
    }
}

fn resource(resource: ProtoResource) -> Resource {
    let mut attributes = attributes(resource.attributes);
    let at = attributes
        .iter()
        .position(|attribute| &*attribute.key == "service.name");
    let service = match at.map(|at| attributes.remove(at).value) {
        None => "missing-service-name".into(),
        Some(name) if name.to_text().is_empty() => "empty-service-name".into(),
        Some(name) => name.to_text().into(),
    };
    Resource {
        service,
        attributes: attributes.into(),
    }
}

fn scope(scope: InstrumentationScope) -> Scope {
    Scope {
        name: scope.name.into(),
        version: scope.version.into(),
        attributes: attributes(scope.attributes).into(),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Vec<Attribute> {
    let attribute = |attribute: KeyValue| Attribute {
        key: attribute.key.into(),
        value: value(attribute.value),
    };
    attributes.into_iter().map(attribute).collect()
}

fn value(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(ProtoValue::StringValue(text)) => Value::Text(text.into()),
        Some(ProtoValue::BoolValue(bool)) => Value::Bool(bool),
        Some(ProtoValue::IntValue(int)) => Value::Int(int),
        Some(ProtoValue::DoubleValue(double)) => Value::Float(Float(double)),
        Some(ProtoValue::BytesValue(bytes)) => Value::Bytes(bytes.into()),
        // An index into a table that OTLP's traces do not have.
        None | Some(ProtoValue::StringValueStrindex(_)) => Value::Empty,
        Some(tree) => Value::Json(json(tree).to_string().into()),
    }
}

fn json(value: ProtoValue) -> serde_json::Value {
    let json_of = |value: Option<AnyValue>| {
        value
            .and_then(|value| value.value)
            .map_or(serde_json::Value::Null, json)
    };
    match value {
        ProtoValue::BoolValue(bool) => json!(bool),
        ProtoValue::IntValue(int) => json!(int),
        ProtoValue::DoubleValue(double) => json!(double),
        ProtoValue::ArrayValue(array) => array
            .values
            .into_iter()
            .map(|value| json_of(Some(value)))
            .collect(),
        ProtoValue::KvlistValue(list) => {
            let entry = |entry: KeyValue| (entry.key, json_of(entry.value));
            serde_json::Value::Object(list.values.into_iter().map(entry).collect())
        }
        flat => {
            let flat = AnyValue { value: Some(flat) };
            json!(self::value(Some(flat)).to_text())
        }
    }
}
