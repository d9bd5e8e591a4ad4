//! `orderflow trace`: an order's trace as a tree, asked for as Jaeger wants to be asked.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use domain::attributes::QUEUE_TIME;
use orderflow::{
    stack::SERVICES,
    tree::{self, Span},
};
use reqwest::{Client, Url};
use serde::Deserialize;
use uuid::Uuid;

use super::screen::say;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Prints every trace in which a service speaks of this order: one, if contexts are passed on.
pub(crate) async fn run(viewer: &Url, order_id: &str) -> anyhow::Result<()> {
    let order =
        Uuid::parse_str(order_id).with_context(|| format!("{order_id} is no order's id"))?;
    let client = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let mut traces = BTreeMap::new();
    for service in SERVICES {
        for trace in ask(&client, viewer, service, order).await?.data {
            traces.insert(trace.id.clone(), trace);
        }
    }
    ensure!(
        !traces.is_empty(),
        "The viewer has no trace of order {order}: the last spans take a second or two to arrive, and the oldest make room."
    );
    let mut traces: Vec<_> = traces.into_values().collect();
    traces.sort_by_key(Trace::began);
    for trace in &traces {
        say(format_args!(
            "trace {}\n{}",
            trace.id,
            tree::render(&trace.spans())
        ));
    }
    Ok(())
}

async fn ask(client: &Client, viewer: &Url, service: &str, order: Uuid) -> anyhow::Result<Answer> {
    let tags = format!("{{\"order.id\":\"{order}\"}}");
    let mut url = viewer.join("/api/traces")?;
    url.query_pairs_mut()
        .append_pair("service", service)
        .append_pair("tags", &tags)
        // From the beginning of time: without a start it is two days ago.
        .append_pair("start", "1");
    let answer = client.get(url).send().await;
    let answer = answer.context("The viewer does not answer: is OrderFlow up?")?;
    let answer = answer
        .error_for_status()
        .context("The viewer refuses to answer")?;
    answer
        .json()
        .await
        .context("What the viewer answers is not what Jaeger would")
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Trace>,
}

#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "traceID")]
    id: String,
    spans: Vec<JaegerSpan>,
    processes: BTreeMap<String, JaegerProcess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan {
    #[serde(rename = "spanID")]
    id: String,
    operation_name: String,
    references: Vec<Reference>,
    /// In microseconds, as is the duration.
    start_time: u64,
    duration: u64,
    tags: Vec<Tag>,
    #[serde(rename = "processID")]
    process: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "traceID")]
    trace: String,
    #[serde(rename = "spanID")]
    span: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JaegerProcess {
    service_name: String,
}

impl Trace {
    fn began(&self) -> Option<u64> {
        self.spans.iter().map(|span| span.start_time).min()
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.iter().map(|span| self.span(span)).collect()
    }

    fn span(&self, span: &JaegerSpan) -> Span {
        let tag = |key: &str| {
            let found = span.tags.iter().find(|tag| tag.key == key);
            found.map(|tag| &tag.value)
        };
        let process = self.processes.get(&span.process);
        let kind = tag("span.kind").and_then(|kind| kind.as_str());
        let seconds = tag(QUEUE_TIME).and_then(serde_json::Value::as_f64);
        Span {
            id: span.id.clone(),
            parent: self.parent(span).map(str::to_owned),
            service: process.map_or(String::new(), |process| process.service_name.clone()),
            name: span.operation_name.clone(),
            kind: kind.unwrap_or("internal").to_uppercase(),
            start: Duration::from_micros(span.start_time),
            duration: Duration::from_micros(span.duration),
            error: tag("error").is_some_and(|error| error == true),
            queue_time: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }

    /// A span that links to its own parent has one reference to it, and that says `FOLLOWS_FROM`.
    fn parent<'a>(&self, span: &'a JaegerSpan) -> Option<&'a str> {
        let mut here = span
            .references
            .iter()
            .filter(|reference| reference.trace == self.id);
        let child_of = here
            .clone()
            .find(|reference| reference.ref_type == "CHILD_OF");
        let parent = child_of.or_else(|| here.next());
        parent.map(|reference| reference.span.as_str())
    }
}
