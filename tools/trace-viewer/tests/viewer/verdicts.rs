//! What is said of traces that are not one order's from beginning to end: several orders in one trace, one
//! order over several traces, and traces of systems that the viewer was told nothing about.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Running, start, start_with};

/// 20 minutes ago, in nanoseconds since 1970: messages of that time are not waited for any more.
static START: LazyLock<u64> = LazyLock::new(|| {
    let start = SystemTime::now() - Duration::from_mins(20);
    let start = start.duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(start.as_nanos()).unwrap()
});

/// The kinds of spans, as OTLP numbers them.
const SERVER: u64 = 2;
const PRODUCER: u64 = 4;
const CONSUMER: u64 = 5;

/// A span of 1 ms that starts at millisecond `id`. `parent` 0 means none.
fn span(trace: &str, id: u64, parent: u64, kind: u64, name: &str, attributes: &Value) -> Value {
    let start = *START + id * 1_000_000;
    let attributes = attributes.as_object().unwrap().iter();
    let attributes: Vec<_> = attributes
        .map(|(key, value)| match value {
            Value::Number(number) => json!({"key": key, "value": {"intValue": number}}),
            text => json!({"key": key, "value": {"stringValue": text}}),
        })
        .collect();
    json!({"traceId": format!("{trace:0>32}"), "spanId": format!("{id:016x}"), "name": name, "kind": kind,
        "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") },
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1_000_000).to_string(),
        "attributes": attributes})
}

fn linked(mut span: Value, trace: &str, id: u64) -> Value {
    span["links"] = json!([{"traceId": format!("{trace:0>32}"), "spanId": format!("{id:016x}")}]);
    span
}

fn failed(mut span: Value, message: &str) -> Value {
    span["status"] = json!({"code": 2, "message": message});
    span
}

async fn send(viewer: &Running, service: &str, spans: &[Value]) {
    let service = json!({"key": "service.name", "value": {"stringValue": service}});
    let request = json!({"resourceSpans": [{"resource": {"attributes": [service]},
        "scopeSpans": [{"spans": spans}]}]});
    let answer = viewer.send_json("/v1/traces", request.to_string()).await;
    assert_eq!(answer.status(), 200);
}

fn sentence(verdict: &Value) -> String {
    let [tone, headline, detail] =
        ["tone", "headline", "detail"].map(|part| verdict[part].as_str().unwrap());
    format!("{tone}: {headline}: {detail}")
}

async fn verdict(viewer: &Running, path: &str) -> String {
    sentence(&viewer.get_json(path).await["verdict"])
}

/// A client's span around two orders: the first is confirmed, the second has no stock.
async fn with_two_orders() -> Running {
    let viewer = start().await;
    let order = |first: u64, order: &str, end: Value| {
        let id = json!({"order.id": order});
        let topic = json!({"order.id": order, "messaging.destination.name": "order.created"});
        vec![
            span("2a", first, 1, SERVER, "POST /orders", &id),
            span(
                "2a",
                first + 1,
                first,
                PRODUCER,
                "send order.created",
                &topic,
            ),
            span(
                "2a",
                first + 2,
                first + 1,
                CONSUMER,
                "process order.created",
                &topic,
            ),
            end,
        ]
    };
    let confirmed = json!({"order.id": "one", "http.response.status_code": 200});
    let confirmed = span(
        "2a",
        13,
        12,
        SERVER,
        "PATCH /orders/{id}/status",
        &confirmed,
    );
    // The callee's span carries no order of its own: it belongs to the nearest one above it.
    let refused = json!({"http.response.status_code": 409, "url.path": "/stock/ITEM-010/reserve"});
    let refused = span(
        "2a",
        23,
        22,
        SERVER,
        "POST /stock/{item_id}/reserve",
        &refused,
    );
    send(
        &viewer,
        "client",
        &[span("2a", 1, 0, 1, "nightly import", &json!({}))],
    )
    .await;
    send(&viewer, "shop", &order(10, "one", confirmed)).await;
    send(&viewer, "inventory", &order(20, "two", refused)).await;
    viewer
}

#[tokio::test]
async fn each_order_of_a_trace_has_its_own_verdict() {
    let viewer = with_two_orders().await;
    let one = "good: Confirmed in 4 ms: ";
    let two = "warn: Cancelled in 4 ms: inventory answered 409 for ITEM-010: not enough stock";
    for (order, expected) in [("one", one), ("two", two)] {
        let found = viewer.get_json(&format!("/view/entities/{order}")).await;
        assert_eq!(sentence(&found["traces"][0]["verdict"]), expected);
        assert_eq!(found["traces"][0]["entity"], order);
        let trace = viewer
            .get_json(&format!("/view/traces/2a?entity={order}"))
            .await;
        assert_eq!(sentence(&trace["verdict"]), expected);
        assert_eq!(trace["entity"], order);
        assert_eq!(
            trace["spans"].as_array().unwrap().len(),
            9,
            "the trace is shown whole"
        );
    }
}

#[tokio::test]
async fn a_trace_of_several_orders_says_so_and_names_them() {
    let viewer = with_two_orders().await;
    let trace = viewer.get_json("/view/traces/2a").await;
    let expected = "warn: 2 orders: Confirmed in 4 ms, Cancelled in 4 ms";
    assert_eq!(sentence(&trace["verdict"]), expected);
    assert_eq!(trace["entity"], Value::Null);
    let entities = trace["entities"].as_array().unwrap().iter();
    let ids: Vec<_> = entities
        .map(|entity| entity["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["one", "two"]);
    assert_eq!(
        trace["entities"][1]["verdict"]["headline"],
        "Cancelled in 4 ms"
    );
    let list = viewer.get_json("/view/traces").await;
    assert_eq!(sentence(&list["traces"][0]["verdict"]), expected);
    assert_eq!(list["traces"][0]["entities"], 2);
}

#[tokio::test]
async fn a_message_that_another_trace_links_to_is_processed() {
    let viewer = start().await;
    let topic = json!({"messaging.destination.name": "payments"});
    send(
        &viewer,
        "shop",
        &[span("a1", 1, 0, PRODUCER, "send payments", &topic)],
    )
    .await;
    let path = "/view/traces/a1";
    let before = verdict(&viewer, path).await;
    assert!(before.starts_with("bad: Never seen processed"), "{before}");

    let process = span("b1", 7, 0, CONSUMER, "process payments", &topic);
    let process = linked(process, "a1", 1);
    send(
        &viewer,
        "billing",
        &[failed(process.clone(), "card refused")],
    )
    .await;
    let trace = viewer.get_json(path).await;
    assert_eq!(
        sentence(&trace["verdict"]),
        "bad: Failed: billing failed: card refused; not tried again"
    );
    assert_eq!(trace["spans"][0]["unprocessed"], false);
    assert_eq!(trace["linked_from"][0]["trace"], "00000000000000b1");

    let mut again = linked(
        span("b2", 8, 0, CONSUMER, "process payments", &topic),
        "a1",
        1,
    );
    again["name"] = json!("process payments again");
    send(&viewer, "billing", &[again]).await;
    let after = verdict(&viewer, path).await;
    assert_eq!(after, "warn: Done in 8 ms: one span failed on the way");
    let list = viewer.get_json("/view/traces?service=shop").await;
    assert_eq!(sentence(&list["traces"][0]["verdict"]), after);
}

#[tokio::test]
async fn an_order_is_followed_into_the_traces_that_its_messages_are_handled_in() {
    let viewer = start().await;
    let order = |id: &str| json!({"order.id": id, "messaging.destination.name": "order.created"});
    let place = |trace, id| span(trace, 1, 0, PRODUCER, "send order.created", &order(id));
    send(&viewer, "orders", &[place("c1", "one"), place("c2", "two")]).await;
    // A batch: one consumer for both messages, with a child for each order.
    let mut batch = span("c3", 5, 0, CONSUMER, "process order.created", &json!({}));
    batch["links"] = ["c1", "c2"]
        .map(|trace| json!({"traceId": format!("{trace:0>32}"), "spanId": format!("{:016x}", 1)}))
        .into();
    let confirmed = json!({"order.id": "one", "http.response.status_code": 200});
    let refused = json!({"order.id": "two", "http.response.status_code": 404,
        "url.path": "/stock/ITEM-404/reserve"});
    let spans = [
        batch,
        span("c3", 6, 5, SERVER, "PATCH /orders/{id}/status", &confirmed),
        span(
            "c3",
            7,
            5,
            SERVER,
            "POST /stock/{item_id}/reserve",
            &refused,
        ),
    ];
    send(&viewer, "worker", &spans).await;
    let one = verdict(&viewer, "/view/traces/c1").await;
    assert_eq!(one, "good: Confirmed in 6 ms: 2 ms in worker");
    let two = verdict(&viewer, "/view/traces/c2").await;
    assert_eq!(
        two,
        "warn: Cancelled in 7 ms: worker answered 404 for ITEM-404: no such item"
    );
}

#[tokio::test]
async fn links_within_a_trace_count_as_links_between_traces_do() {
    let viewer = start().await;
    let topic = json!({"messaging.destination.name": "payments"});
    let spans = [
        span("d1", 1, 0, 1, "job", &json!({})),
        span("d1", 2, 1, PRODUCER, "send payments", &topic),
        linked(
            span("d1", 3, 1, CONSUMER, "process payments", &topic),
            "d1",
            2,
        ),
    ];
    send(&viewer, "shop", &spans).await;
    assert_eq!(
        verdict(&viewer, "/view/traces/d1").await,
        "good: Done in 3 ms: "
    );
}

#[tokio::test]
async fn circles_of_links_end() {
    let viewer = start().await;
    for (trace, other) in [("e1", "e2"), ("e2", "e1"), ("e1", "e1")] {
        let topic = json!({"messaging.destination.name": "t"});
        let spans = [
            linked(span(trace, 1, 0, CONSUMER, "process", &topic), other, 2),
            span(trace, 2, 1, PRODUCER, "send", &topic),
        ];
        send(&viewer, "shop", &spans).await;
    }
    for trace in ["e1", "e2"] {
        let verdict = verdict(&viewer, &format!("/view/traces/{trace}")).await;
        assert!(verdict.starts_with("good: Done in"), "{verdict}");
    }
}

#[tokio::test]
async fn dead_letters_are_known_by_the_names_that_libraries_give_them() {
    let viewer = start_with(&[]).await;
    let topics = [
        "payments-dlt",
        "payments.DLT",
        "payments.dlq",
        "payments_DLQ",
    ];
    for (trace, topic) in (0xf1..).zip(topics) {
        let topic = json!({"messaging.destination.name": topic});
        let trace = format!("{trace:x}");
        let spans = [
            failed(span(&trace, 1, 0, CONSUMER, "process", &topic), "broken"),
            span(&trace, 2, 1, PRODUCER, "send", &topic),
        ];
        send(&viewer, "shop", &spans).await;
        let verdict = verdict(&viewer, &format!("/view/traces/{trace}")).await;
        let expected = "bad: Failed: shop failed: broken; dead-lettered; not replayed";
        assert_eq!(verdict, expected, "{topic}");
    }
}

#[tokio::test]
async fn without_settings_the_viewer_knows_no_orders() {
    let viewer = start_with(&[]).await;
    let order = json!({"order.id": "one", "http.response.status_code": 409});
    let refused = span("ab", 1, 0, SERVER, "POST /stock/{item_id}/reserve", &order);
    send(&viewer, "inventory", &[refused]).await;
    assert_eq!(
        verdict(&viewer, "/view/traces/ab").await,
        "good: Done in 1 ms: "
    );
    assert_eq!(viewer.get("/view/entities/one").await.status(), 404);
    let page = viewer.get("/").await.text().await.unwrap();
    assert!(
        !page.contains("OrderFlow") && !page.to_lowercase().contains("order"),
        "{page}"
    );
}

#[tokio::test]
async fn the_settings_name_the_page_and_what_is_followed() {
    let settings = json!({"name": "Tickets & <co>", "entity": "ticket.id",
        "outcomes": {"begun": "Opened", "done": "Closed", "rules": []}});
    let file = std::env::temp_dir().join(format!("viewer-settings-{}.json", std::process::id()));
    std::fs::write(&file, settings.to_string()).unwrap();
    let viewer = start_with(&["--settings", file.to_str().unwrap()]).await;
    std::fs::remove_file(&file).unwrap();
    let topic = json!({"ticket.id": "T-1", "messaging.destination.name": "tickets"});
    let spans = [
        span("ac", 1, 0, PRODUCER, "send tickets", &topic),
        span("ac", 2, 1, CONSUMER, "process tickets", &topic),
    ];
    send(&viewer, "desk", &spans).await;
    let found = viewer.get_json("/view/entities/T-1").await;
    assert_eq!(
        sentence(&found["traces"][0]["verdict"]),
        "good: Closed in 2 ms: "
    );
    let page = viewer.get("/ticket/T-1").await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(
        page.contains("Tickets &amp; &lt;co&gt;") && page.contains("data-entity=\"ticket\""),
        "{page}"
    );
    assert_eq!(viewer.get("/order/T-1").await.status(), 404);
}
