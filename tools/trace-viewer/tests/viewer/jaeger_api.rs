//! The query API's answers are those that a real Jaeger gave to the same spans.
//!
//! A fixture holds one recorded request and its answer. Where Jaeger keeps no order, both sides are sorted;
//! where a recording had its spans cut out, the ids of the traces are compared.

use crate::support::{Running, fixture, fixtures, start};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_empty_store_answers_as_jaeger_does() {
    let viewer = start().await;
    let names = fixtures("jaeger/empty");
    assert_eq!(names.len(), 5);
    for name in names {
        assert_answers_as_recorded(&viewer, &name).await;
    }
}

#[tokio::test]
async fn stored_traces_are_answered_as_jaeger_does() {
    let viewer = start().await;
    for name in fixtures("otlp")
        .iter()
        .filter(|name| name.contains("/input-"))
    {
        let response = viewer.send_json("/v1/traces", fixture(name)).await;
        assert_eq!(
            response.text().await.unwrap(),
            r#"{"partialSuccess":{}}"#,
            "{name}"
        );
    }
    let names = fixtures("jaeger");
    assert!(names.len() > 60);
    for name in names {
        assert_answers_as_recorded(&viewer, &name).await;
    }
}

#[tokio::test]
async fn what_is_not_utf8_is_answered_as_bytes() {
    let viewer = start().await;
    let mut request = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
        {"stringValue":"shop-utf8"}}]},"scopeSpans":[{"spans":[{"traceId":"000000000000000000000000000000f8",
        "spanId":"00000000000000f8","name":"bad ~ name","kind":1,"startTimeUnixNano":"1795405200000000000",
        "endTimeUnixNano":"1795405200001000000","attributes":[{"key":"bad","value":{"stringValue":"caf~"}},
        {"key":"good","value":{"stringValue":"caf\u00e9"}}]}]}]}]}"#.to_vec();
    request
        .iter_mut()
        .filter(|byte| **byte == b'~')
        .for_each(|byte| *byte = 0xe9);
    viewer.send_json("/v1/traces", request).await;
    assert_answers_as_recorded(&viewer, "19-trace-invalid-utf8.json").await;
}

#[tokio::test]
async fn reading_twice_changes_nothing() {
    let viewer = start().await;
    viewer
        .send_json("/v1/traces", fixture("otlp/input-f-clock-skew.otlp.json"))
        .await;
    for _ in 0..2 {
        assert_answers_as_recorded(&viewer, "jaeger/16-trace-f-clock-skew.json").await;
    }
}

#[tokio::test]
async fn what_could_be_markup_is_escaped() {
    let viewer = start().await;
    viewer
        .send_json("/v1/traces", fixture("otlp/input-a-all-types.otlp.json"))
        .await;
    let body = viewer
        .get("/api/traces/a1b2c3d4e5f60718293a4b5c6d7e8f90")
        .await
        .text()
        .await
        .unwrap();
    assert!(body.contains(r#"\u003ca href=\"x\"\u003e\u0026é\u003c/a\u003e"#));
}

#[tokio::test]
async fn traces_without_a_window_are_those_of_the_last_two_days() {
    let viewer = start().await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    for (id, age_hours) in [(1_u128, 1), (2, 47), (3, 49)] {
        let start = now.as_nanos() - age_hours * 3_600_000_000_000;
        let span = json!({"traceId": format!("{id:032x}"), "spanId": "0000000000000001", "name": "n",
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": start.to_string()});
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        viewer.send_json("/v1/traces", request.to_string()).await;
    }
    let found = viewer
        .get_json("/api/traces?service=missing-service-name")
        .await;
    assert_eq!(trace_ids(&found), ["0000000000000002", "0000000000000001"]);
}

async fn assert_answers_as_recorded(viewer: &Running, name: &str) {
    let recorded: Value = serde_json::from_str(&fixture(name)).unwrap();
    let (method, path) = recorded["request"]
        .as_str()
        .unwrap()
        .split_once(' ')
        .unwrap();
    let method: Method = method.parse().unwrap();
    let url = format!("http://{}{path}", viewer.page);
    let answer = viewer.client.request(method, url).send().await.unwrap();

    assert_eq!(answer.status().as_u16(), recorded["status"], "{name}");
    for header in ["Content-Type", "X-Content-Type-Options"] {
        let found = answer
            .headers()
            .get(header)
            .map_or("", |value| value.to_str().unwrap());
        assert_eq!(
            found,
            recorded["headers"][header].as_str().unwrap_or_default(),
            "{name}: {header}"
        );
    }
    let text = answer.text().await.unwrap();
    match recorded.get("body") {
        None => assert_eq!(text, recorded["body_text"], "{name}"),
        Some(body) => {
            assert_eq!(
                text.ends_with('\n'),
                recorded["body_ends_with_newline"] == true,
                "{name}"
            );
            assert_same_body(
                name,
                &serde_json::from_str(&text).unwrap(),
                body,
                &recorded["note"],
            );
        }
    }
}

fn assert_same_body(name: &str, answered: &Value, recorded: &Value, note: &Value) {
    if note
        .as_str()
        .is_some_and(|note| note.contains("spans removed"))
    {
        assert_eq!(trace_ids(answered), trace_ids(recorded), "{name}");
        return;
    }
    let answered = serde_json::to_string_pretty(&normal(answered)).unwrap();
    let recorded = serde_json::to_string_pretty(&normal(recorded)).unwrap();
    for (answered, recorded) in answered.lines().zip(recorded.lines()) {
        assert_eq!(answered, recorded, "{name}");
    }
    assert_eq!(answered.len(), recorded.len(), "{name}");
}

fn trace_ids(body: &Value) -> Vec<&str> {
    body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["traceID"].as_str().unwrap())
        .collect()
}

/// Lists without an order sorted, processes written out where they are used.
fn normal(body: &Value) -> Value {
    let mut body = body.clone();
    let Some(data) = body["data"].as_array_mut() else {
        return body;
    };
    for trace in data.iter_mut().filter(|item| item.get("spans").is_some()) {
        let processes = trace["processes"].take();
        let spans = trace["spans"].as_array_mut().unwrap();
        for span in spans.iter_mut() {
            let process = span["processID"].as_str().unwrap();
            span["processID"] = processes[process].clone();
        }
        spans.sort_by_key(ToString::to_string);
    }
    if data.iter().all(|item| item.get("spans").is_none()) {
        data.sort_by_key(ToString::to_string);
    }
    body
}
