//! What the page is told of the sample traces: verdicts, rows, details.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::samples::{self, Sample};
use crate::support::{Running, start};

async fn with_samples() -> (Running, Vec<Sample>) {
    let viewer = start().await;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let samples = samples::all(u64::try_from(now).unwrap());
    for sample in &samples {
        send(&viewer, "/v1/traces", &sample.traces).await;
        send(&viewer, "/v1/logs", &sample.logs).await;
    }
    (viewer, samples)
}

async fn send(viewer: &Running, path: &str, request: &Value) {
    let answer = viewer.send_json(path, request.to_string()).await;
    assert_eq!(answer.text().await.unwrap(), "{}");
}

fn named<'a>(samples: &'a [Sample], name: &str) -> &'a Sample {
    samples.iter().find(|sample| sample.name == name).unwrap()
}

#[tokio::test]
async fn one_sentence_says_what_became_of_each() {
    let (viewer, samples) = with_samples().await;
    let mail = "(mail server said: 451 4.3.0 temporary failure)";
    let cases = [
        (
            "confirmed",
            "good",
            "Confirmed in 224 ms: 29 ms in the queue, 136 ms in email",
        ),
        (
            "long queue",
            "good",
            "Confirmed in 7 min 38 s: 7 min 38 s in the queue",
        ),
        (
            "failed",
            "bad",
            &format!(
                "Confirmed, mail failed: email answered 500 five times {mail}; dead-lettered; not replayed"
            ),
        ),
        (
            "replayed",
            "good",
            &format!(
                "Confirmed in 47.2 s after a replay: before, email answered 500 five times {mail}"
            ),
        ),
        (
            "cancelled",
            "warn",
            "Cancelled in 220 ms: inventory answered 409 for ITEM-010: not enough stock",
        ),
        (
            "n plus one",
            "good",
            "Done in 218 ms: 214 ms in orders, 100 times SELECT orders.order_items",
        ),
        ("killed", "good", "Confirmed in 2.87 s: 2.68 s in the queue"),
    ];
    for (name, tone, sentence) in cases {
        let trace = viewer
            .get_json(&format!("/view/traces/{}", named(&samples, name).trace))
            .await;
        let verdict = &trace["verdict"];
        let [headline, detail] = ["headline", "detail"].map(|part| verdict[part].as_str().unwrap());
        assert_eq!(format!("{headline}: {detail}"), sentence, "{name}");
        assert_eq!(verdict["tone"], tone, "{name}");
    }
}

#[tokio::test]
async fn a_message_that_nobody_took_is_waited_for() {
    let (viewer, samples) = with_samples().await;
    let trace = viewer
        .get_json(&format!(
            "/view/traces/{}",
            named(&samples, "waiting").trace
        ))
        .await;
    assert_eq!(trace["verdict"]["tone"], "open");
    let headline = trace["verdict"]["headline"].as_str().unwrap();
    assert!(
        headline.starts_with("Waiting in order.created for "),
        "{headline}"
    );
    let unprocessed = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|span| span["unprocessed"] == true);
    assert_eq!(unprocessed.count(), 1);
}

#[tokio::test]
async fn an_orders_id_leads_to_its_trace() {
    let (viewer, samples) = with_samples().await;
    for sample in samples.iter().filter(|sample| sample.name != "n plus one") {
        let found = viewer
            .get_json(&format!("/view/entities/{}", sample.order))
            .await;
        let found: Vec<_> = found["traces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect();
        assert_eq!(found, [json!(sample.trace)], "{}", sample.name);
    }
    let nobody = viewer
        .get("/view/entities/00000000-0000-7000-8000-000000000000")
        .await;
    assert_eq!(nobody.status(), 404);
    let nobody: Value = nobody.json().await.unwrap();
    assert_eq!(nobody["error"], "no trace of it is held");
    assert_eq!(nobody["held"]["traces"], samples.len());
}

#[tokio::test]
async fn the_list_can_be_narrowed() {
    let (viewer, samples) = with_samples().await;
    let cases: [(&str, &[&str]); 8] = [
        (
            "service=email&status=ok",
            &["confirmed", "killed", "clock skew", "long queue"],
        ),
        ("status=error", &["cancelled", "replayed", "failed"]),
        (
            "service=worker&operation=send%20order.created.dlq",
            &["replayed", "failed"],
        ),
        ("min=10000", &["replayed", "long queue"]),
        ("q=nplus1", &["n plus one"]),
        ("q=http.response.status_code%3D409", &["cancelled"]),
        (
            "q=email%20order.created.dlq&status=error&min=20000",
            &["replayed"],
        ),
        ("q=nosuchword", &[]),
    ];
    for (filter, names) in cases {
        let list = viewer.get_json(&format!("/view/traces?{filter}")).await;
        let rows = list["traces"].as_array().unwrap();
        let found: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        let expected: Vec<_> = names
            .iter()
            .map(|name| &*named(&samples, name).trace)
            .collect();
        assert_eq!(found, expected, "{filter}");
    }
    for wrong in ["status=maybe", "min=soon", "limit=all", "before=noon"] {
        assert_eq!(
            viewer.get(&format!("/view/traces?{wrong}")).await.status(),
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_shares_of_the_critical_path_add_up_to_the_whole() {
    let (viewer, samples) = with_samples().await;
    for sample in &samples {
        let trace = viewer
            .get_json(&format!("/view/traces/{}", sample.trace))
            .await;
        let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
        let shares: u64 = trace["shares"]
            .as_array()
            .unwrap()
            .iter()
            .map(|share| number(&share["time"]))
            .sum();
        let whole = number(&trace["end"]) - number(&trace["start"]);
        assert_eq!(shares, whole, "{}", sample.name);
    }
}

#[tokio::test]
async fn spans_come_as_a_tree_whatever_was_sent() {
    let viewer = start().await;
    let span = |id: u64, parent: u64| {
        json!({"traceId": "0000000000000000000000000000aa01", "name": id.to_string(),
        "spanId": format!("{id:016x}"), "parentSpanId": format!("{parent:016x}"),
        "startTimeUnixNano": (1_000 + id).to_string(), "endTimeUnixNano": "2000"})
    };
    // 1 with its children, a circle of 7 and 8, two that miss 99, and one that is its own parent.
    let spans = [
        span(1, 0),
        span(3, 1),
        span(2, 1),
        span(4, 3),
        span(7, 8),
        span(8, 7),
        span(5, 99),
        span(9, 99),
        span(6, 6),
    ];
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    send(&viewer, "/v1/traces", &request).await;
    let trace = viewer.get_json("/view/traces/aa01").await;
    let spans = trace["spans"].as_array().unwrap().iter();
    let found: Vec<_> = spans
        .map(|span| {
            (
                span["name"].as_str().unwrap(),
                span["depth"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("1", 0),
        ("2", 1),
        ("3", 1),
        ("4", 2),
        ("5", 1),
        ("9", 1),
        ("6", 0),
        ("7", 0),
        ("8", 1),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn numbers_and_times_come_unrounded() {
    let viewer = start().await;
    send(
        &viewer,
        "/v1/traces",
        &serde_json::from_str(&crate::support::fixture("otlp/input-a-all-types.otlp.json"))
            .unwrap(),
    )
    .await;
    let trace = viewer
        .get_json("/view/traces/a1b2c3d4e5f60718293a4b5c6d7e8f90")
        .await;
    let spans = trace["spans"].as_array().unwrap();
    let checkout = spans
        .iter()
        .find(|span| span["name"] == "POST /checkout")
        .unwrap();
    let attribute = |key: &str| {
        let mut attributes = checkout["attributes"].as_array().unwrap().iter();
        attributes
            .find(|attribute| attribute[0] == key)
            .unwrap()
            .clone()
    };
    assert_eq!(
        attribute("t.int_min"),
        json!(["t.int_min", "int", "-9223372036854775808"])
    );
    assert_eq!(
        attribute("t.int_big"),
        json!(["t.int_big", "int", "9007199254740993"])
    );
    let validate = spans
        .iter()
        .find(|span| span["name"] == "validate cart")
        .unwrap();
    assert_eq!(validate["end"], "1795405200040000123");
}

#[tokio::test]
async fn log_lines_are_kept_with_their_span() {
    let (viewer, samples) = with_samples().await;
    let trace = viewer
        .get_json(&format!("/view/traces/{}", named(&samples, "failed").trace))
        .await;
    let lines = trace["logs"].as_array().unwrap();
    let error = lines
        .iter()
        .find(|line| line["service"] == "email")
        .unwrap();
    assert_eq!(
        error["body"],
        "mail server said: 451 4.3.0 temporary failure"
    );
    assert!(
        trace["spans"]
            .as_array()
            .unwrap()
            .iter()
            .any(|span| span["id"] == error["span"])
    );
}

#[tokio::test]
async fn changes_are_told_to_whoever_asks() {
    let viewer = start().await;
    let before = viewer.get_json("/view/changes").await;
    assert_eq!(
        before["changed"],
        Value::Null,
        "everything may have changed"
    );
    let since = format!("/view/changes?since={}", before["clock"].as_str().unwrap());
    assert_eq!(viewer.get_json(&since).await["changed"], json!([]));
    viewer
        .send_json(
            "/v1/traces",
            crate::support::fixture("otlp/input-d-short-id.otlp.json"),
        )
        .await;
    let after = viewer.get_json(&since).await;
    assert_eq!(after["changed"], json!(["d0d0d0d0d0d0d0d0"]));
    assert_ne!(after["clock"], before["clock"]);
}

#[tokio::test]
async fn every_trace_of_the_list_can_be_reached() {
    let viewer = start().await;
    for id in 1..=201 {
        let span = json!({"traceId": format!("{id:032x}"), "spanId": "0000000000000001", "name": "n",
            "startTimeUnixNano": "1", "endTimeUnixNano": "2"});
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        send(&viewer, "/v1/traces", &request).await;
    }
    let mut seen = Vec::new();
    let mut path = "/view/traces".to_owned();
    loop {
        let list = viewer.get_json(&path).await;
        let rows = list["traces"].as_array().unwrap().iter();
        seen.extend(rows.map(|row| row["id"].as_str().unwrap().to_owned()));
        let Some(next) = list["next"].as_str() else {
            break;
        };
        path = format!("/view/traces?before={next}");
    }
    let all: Vec<_> = (1..=201).rev().map(|id| format!("{id:016x}")).collect();
    assert_eq!(seen, all);
    let exactly = viewer.get_json("/view/traces?limit=201").await;
    assert_eq!(exactly["next"], Value::Null);
}

#[tokio::test]
async fn the_page_comes_from_here_alone() {
    let viewer = start().await;
    for path in ["/", "/search", "/order/x", "/trace/x"] {
        let page = viewer.get(path).await;
        let policy = page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        let html = page.text().await.unwrap();
        assert!(!html.contains("http"), "{path}");
        let files = html.split('"').filter(|part| part.starts_with("/page/"));
        for file in files.collect::<std::collections::BTreeSet<_>>() {
            let file = viewer.get(file).await;
            assert_eq!(file.status(), 200);
        }
    }
}
