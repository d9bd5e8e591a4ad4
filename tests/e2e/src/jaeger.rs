//! The same spans, as a Jaeger-compatible query API answers them.
//!
//! Jaeger has its own model: kind, status and scope are tags, times are in microseconds, and the parent
//! is the first of a span's references. A link to the own parent is not a second reference: the one
//! that there is then says `FOLLOWS_FROM` in place of `CHILD_OF`. All this is turned back here, so
//! that the same assertions hold for a trace wherever it was read.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value as Json;

use crate::trace::{Kind, Link, Span, Status, Value};

const PATIENCE: Duration = Duration::from_secs(5);

/// A query API.
#[derive(Debug, Clone)]
pub struct Jaeger {
    url: String,
    http: reqwest::Client,
}

impl Jaeger {
    /// The one at this address.
    ///
    /// # Errors
    /// The HTTP client can't be set up.
    pub fn at(url: impl Into<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .build()?;
        let url = url.into().trim_end_matches('/').to_owned();
        Ok(Self { url, http })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The spans of a trace, none if it is not known.
    ///
    /// # Errors
    /// There is no answer, or none that makes sense.
    pub async fn trace(&self, id: &str) -> anyhow::Result<Vec<Span>> {
        let mut traces = self.ask(&format!("/api/traces/{id}"), &[]).await?;
        Ok(traces.pop().unwrap_or_default())
    }

    /// The traces in which a service has a span with this tag.
    ///
    /// # Errors
    /// There is no answer, or none that makes sense.
    pub async fn find(&self, service: &str, tag: (&str, &str)) -> anyhow::Result<Vec<Vec<Span>>> {
        let tags = serde_json::json!({ tag.0: tag.1 }).to_string();
        self.ask("/api/traces", &[("service", service), ("tags", &tags)])
            .await
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<Vec<Span>>> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.url))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer: Json = self.http.get(url).send().await?.json().await?;
        let traces = answer["data"].as_array().cloned().unwrap_or_default();
        traces.iter().map(spans).collect()
    }
}

fn spans(trace: &Json) -> anyhow::Result<Vec<Span>> {
    let processes = trace["processes"].as_object().context("no processes")?;
    let processes: HashMap<_, _> = processes.iter().collect();
    let spans = trace["spans"].as_array().context("no spans")?;
    let span = |span: &Json| {
        let process = text(&span["processID"]);
        let process = processes.get(&process).context("no such process")?;
        of_span(span, process)
    };
    spans.iter().map(span).collect()
}

fn of_span(span: &Json, process: &Json) -> anyhow::Result<Span> {
    let mut attributes = tags(&span["tags"])?;
    let mut take = |name: &str| {
        let index = attributes.iter().position(|(key, _)| key == name);
        index.map(|index| attributes.remove(index).1)
    };
    let kind = take("span.kind");
    let scope = take("otel.scope.name");
    take("otel.scope.version");
    let status = take("otel.status_code");
    let description = take("otel.status_description");
    let trace_state = take("w3c.tracestate");
    if status.is_some() {
        take("error");
    }
    let (parent, links) = references(span);
    let service = text(&process["serviceName"]);
    let mut resource = tags(&process["tags"])?;
    resource.push(("service.name".to_owned(), Value::Text(service.clone())));
    let start = 1000 * span["startTime"].as_u64().context("no start")?;
    Ok(Span {
        trace: text(&span["traceID"]),
        id: text(&span["spanID"]),
        parent,
        links,
        service,
        scope: or_nothing(scope),
        name: text(&span["operationName"]),
        kind: of_kind(&or_nothing(kind)),
        attributes,
        status: of_status(&or_nothing(status), or_nothing(description)),
        trace_state: or_nothing(trace_state),
        start,
        end: start + 1000 * span["duration"].as_u64().context("no duration")?,
        resource,
    })
}

/// The first reference into the span's own trace is its parent; if that one follows, it is a link, too.
fn references(span: &Json) -> (Option<String>, Vec<Link>) {
    let references = span["references"].as_array();
    let mut parent = None;
    let mut links = Vec::new();
    for reference in references.into_iter().flatten() {
        let to = Link {
            trace: text(&reference["traceID"]),
            span: text(&reference["spanID"]),
        };
        if parent.is_none() && reference["traceID"] == span["traceID"] {
            parent = Some(to.span.clone());
        }
        if reference["refType"] == "FOLLOWS_FROM" {
            links.push(to);
        }
    }
    (parent, links)
}

fn of_kind(kind: &str) -> Kind {
    match kind {
        "internal" => Kind::Internal,
        "server" => Kind::Server,
        "client" => Kind::Client,
        "producer" => Kind::Producer,
        "consumer" => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn of_status(code: &str, description: String) -> Status {
    match code {
        "" => Status::Unset,
        "OK" => Status::Ok,
        _ => Status::Error(description),
    }
}

fn tags(tags: &Json) -> anyhow::Result<Vec<(String, Value)>> {
    let tags = tags.as_array().context("no tags")?;
    let mut tags: Vec<_> = tags
        .iter()
        .map(|tag| (text(&tag["key"]), value(tag)))
        .collect();
    tags.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(tags)
}

fn value(tag: &Json) -> Value {
    let value = &tag["value"];
    let known = match tag["type"].as_str().unwrap_or_default() {
        "string" => value.as_str().map(|text| Value::Text(text.to_owned())),
        "int64" => value.as_i64().map(Value::Int),
        "float64" => value.as_f64().map(Value::Double),
        "bool" => value.as_bool().map(Value::Bool),
        _ => None,
    };
    known.unwrap_or_else(|| Value::Other(tag.to_string()))
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn or_nothing(value: Option<Value>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
