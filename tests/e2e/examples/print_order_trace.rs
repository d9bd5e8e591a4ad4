//! Starts the whole system, places one order, and prints its trace:
//! `cargo run -p e2e --example print_order_trace`.

use std::{env, time::Duration};

use anyhow::Context;
use domain::attributes::QUEUE_TIME;
use e2e::{
    shop::{Shop, directory},
    trace::{Kind, Span, Status, Value},
};
use orderflow::tree::{self, render};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    eprintln!("starting PostgreSQL, Kafka and five services …");
    let directory = directory(&env::temp_dir().to_string_lossy(), "print_order_trace");
    let shop = Shop::in_directory(directory)?.open().await?;
    let items = [(2, "ITEM-001"), (1, "ITEM-002")];
    let placed = shop.customer().order(&items).await?;
    let spans = shop.receiver.wait_for(LIMIT, |traces| {
        let spans = traces.get(&placed.trace)?;
        is_complete(spans).then(|| spans.clone())
    });
    let spans = spans.await.context("the trace did not become complete")?;
    let spans: Vec<_> = spans.iter().map(shown).collect();
    println!("order {}, trace {}", placed.id, placed.trace);
    print!("{}", render(&spans));
    Ok(())
}

/// Both ends are there, the request's and the message's, and every call has arrived somewhere. What a
/// process did for a call, it exports before the call's own span.
fn is_complete(spans: &[Span]) -> bool {
    let has = |kind| spans.iter().any(|span| span.kind == kind);
    let is_root = |span: &Span| span.parent.is_none();
    let is_call = |span: &&Span| span.attribute("url.full").is_some();
    let has_arrived = |call: &Span| {
        let mut others = spans.iter();
        others.any(|other| other.parent.as_ref() == Some(&call.id))
    };
    spans.iter().any(is_root)
        && has(Kind::Consumer)
        && spans.iter().filter(is_call).all(has_arrived)
}

fn shown(span: &Span) -> tree::Span {
    let queue_time = match span.attribute(QUEUE_TIME) {
        Some(Value::Double(seconds)) => Duration::try_from_secs_f64(*seconds).ok(),
        _ => None,
    };
    tree::Span {
        id: span.id.clone(),
        parent: span.parent.clone(),
        service: span.service.clone(),
        name: span.name.clone(),
        kind: span.kind.to_string(),
        start: Duration::from_nanos(span.start),
        duration: Duration::from_nanos(span.end.saturating_sub(span.start)),
        error: matches!(span.status, Status::Error(_)),
        queue_time,
    }
}
