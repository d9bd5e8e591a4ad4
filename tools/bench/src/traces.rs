//! What the traces of some orders tell: how long they took to be confirmed, and lay in the queue.
//!
//! Asked for when all is over, of Jaeger's query API: nobody is disturbed while it is measured.

use anyhow::Context;
use domain::attributes::QUEUE_TIME;
use serde_json::Value;

use crate::shop::Placed;

/// How many orders are looked at, at most.
const SAMPLE: usize = 200;

/// Times in milliseconds, of each order whose trace is complete.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From the moment the order reached the gateway until its status was confirmed.
    pub(crate) confirmed: Vec<f64>,
    /// From the broker's timestamp until the worker took the message.
    pub(crate) queued: Vec<f64>,
}

impl Times {
    /// Looks at some of these orders, evenly spread.
    pub(crate) async fn of(viewer: &str, orders: &[Placed]) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut times = Self::default();
        let traces = orders.iter().filter_map(|order| order.trace_id.as_ref());
        for trace in traces.step_by(orders.len() / SAMPLE + 1) {
            let answer = http
                .get(format!("{viewer}/api/traces/{trace}"))
                .send()
                .await?;
            let answer: Value = answer.json().await.context("the viewer makes no sense")?;
            let spans = answer["data"][0]["spans"].as_array();
            times
                .confirmed
                .extend(spans.and_then(|spans| until_confirmed(spans)));
            times.queued.extend(spans.and_then(|spans| in_queue(spans)));
        }
        Ok(times)
    }

    pub(crate) fn quantile(times: &[f64], part: f64) -> Option<f64> {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last as f64 * part).round() as usize).copied()
    }
}

fn until_confirmed(spans: &[Value]) -> Option<f64> {
    let begun = spans
        .iter()
        .filter_map(|span| span["startTime"].as_u64())
        .min()?;
    let status = find(spans, "PATCH /orders/{id}/status")?;
    let ended = status["startTime"].as_u64()? + status["duration"].as_u64()?;
    Some(ended.saturating_sub(begun) as f64 / 1_000.0)
}

fn in_queue(spans: &[Value]) -> Option<f64> {
    let process = find(spans, "process order.created")?;
    let mut tags = process["tags"].as_array()?.iter();
    let seconds = tags.find(|tag| tag["key"] == QUEUE_TIME)?["value"].as_f64()?;
    Some(seconds * 1_000.0)
}

fn find<'a>(spans: &'a [Value], name: &str) -> Option<&'a Value> {
    spans.iter().find(|span| span["operationName"] == name)
}
