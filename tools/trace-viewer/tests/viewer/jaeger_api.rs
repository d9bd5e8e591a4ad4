//! The query API answers as a real Jaeger did to the same spans, and as its clients need it.
//!
//! A fixture holds one recorded request and its answer. Where Jaeger keeps no order, both sides are sorted;
//! warnings are not compared, and neither is how a number is written (2 or 2.0).

use crate::support::{Running, fixture, fixtures, start};
use serde_json::{Value, json};

/// The time of the spans in the fixtures, in microseconds since 1970.
const WINDOW: &str = "start=1795405190000000&end=1795405260000000";

/// The names by which the tests below call the traces of the fixtures.
const A: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
const D: &str = "d0d0d0d0d0d0d0d0";
const H: &str = "00000000000000090000000000000001";

async fn with_fixtures() -> Running {
    let viewer = start().await;
    let names = fixtures("otlp");
    for name in names.iter().filter(|name| name.contains("/input-")) {
        let answer = viewer.send_json("/v1/traces", fixture(name)).await;
        assert_eq!(answer.status(), 200, "{name}");
    }
    viewer
}

#[tokio::test]
async fn an_empty_store_answers_as_jaeger_does() {
    let viewer = start().await;
    let names = fixtures("jaeger/empty");
    assert_eq!(names.len(), 4);
    for name in names {
        assert_answers_as_recorded(&viewer, &name).await;
    }
}

#[tokio::test]
async fn stored_traces_are_answered_as_jaeger_does() {
    let viewer = with_fixtures().await;
    let names = fixtures("jaeger");
    assert_eq!(names.len(), 8);
    for name in names {
        assert_answers_as_recorded(&viewer, &name).await;
    }
}

#[tokio::test]
async fn one_span_of_the_service_matches_all_that_is_searched_for() {
    let viewer = with_fixtures().await;
    let tags = |tags: Value| format!("service=shop-front&{WINDOW}&tags={tags}");
    let cases: Vec<(String, &[&str])> = vec![
        (tags(json!({"t.bool": "true"})), &[A]),
        (tags(json!({"t.double": "2.5"})), &[A]),
        (tags(json!({"t.array": "[\"a\",\"b\"]"})), &[A]),
        (tags(json!({"http.response.status_code": "201"})), &[A]),
        (tags(json!({"host.name": "h1"})), &[A]),
        (tags(json!({"scope.attr": "x"})), &[A]),
        (tags(json!({"cache.key": "k1"})), &[A]),
        (tags(json!({"error": "true"})), &[A]),
        (tags(json!({"error": "false"})), &[A]),
        (tags(json!({"span.kind": "server"})), &[A]),
        (
            tags(json!({"t.bool": "true", "http.request.method": "POST"})),
            &[A],
        ),
        (
            tags(json!({"t.bool": "true", "messaging.system": "kafka"})),
            &[],
        ),
        (tags(json!({"http.request.method": "post"})), &[]),
        (tags(json!({"http.request.method": "POS"})), &[]),
        (
            format!(
                "{}&operation=validate cart",
                tags(json!({"t.bool": "true"}))
            ),
            &[],
        ),
        (format!("{}&minDuration=250ms", tags(json!({}))), &[A]),
        (format!("{}&minDuration=250.6ms", tags(json!({}))), &[]),
        (
            "service=shop-front&start=1795405190000000&end=1795405195000000".to_owned(),
            &[],
        ),
        (
            "service=shop-worker&start=1795405202000000&end=1795405203000000".to_owned(),
            &[A],
        ),
        (
            "service=shop-front&start=1795405202000000&end=1795405203000000".to_owned(),
            &[],
        ),
        (format!("service=shop-short-id&limit=1&{WINDOW}"), &[H]),
        // Jaeger's page asks so for the two traces that it compares.
        (
            format!("traceID={D}&traceID=90000000000000001&traceID=ff"),
            &[D, H],
        ),
    ];
    for (query, traces) in cases {
        let found = viewer.get_json(&format!("/api/traces?{query}")).await;
        assert_eq!(trace_ids(&found), traces, "{query}");
    }
}

/// The requests of Grafana 12's Jaeger data source: a search, a trace and the node graph.
#[tokio::test]
async fn grafana_gets_what_it_asks_for() {
    let viewer = with_fixtures().await;
    let services = viewer.get_json("/api/services").await;
    assert!(
        services["data"]
            .as_array()
            .unwrap()
            .contains(&json!("shop-front"))
    );
    let operations = viewer.get_json("/api/services/shop-front/operations").await;
    assert!(
        operations["data"]
            .as_array()
            .unwrap()
            .contains(&json!("POST /checkout"))
    );
    let search = format!(
        "/api/traces?service=shop-front&operation=POST%20%2Fcheckout&tags=%7B%22t.bool%22%3A%22true%22%7D\
         &minDuration=1ms&maxDuration=5s&limit=20&lookback=custom&{WINDOW}"
    );
    assert_eq!(trace_ids(&viewer.get_json(&search).await), [A]);
    let trace = format!("/api/traces/{A}?{WINDOW}");
    assert_eq!(trace_ids(&viewer.get_json(&trace).await), [A]);
    let graph = "/api/dependencies?endTs=1795405260000&lookback=86400000";
    assert_eq!(
        viewer.get_json(graph).await["data"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_says_why_in_the_envelope() {
    let viewer = with_fixtures().await;
    for (path, code, message) in [
        ("/api/traces/ff", 404, "trace not found"),
        ("/api/traces/zz", 400, "\"zz\" is not a trace id"),
        ("/api/traces", 400, "service is missing"),
        (
            "/api/traces?service=s&limit=0",
            400,
            "limit must be a number above 0, but is \"0\"",
        ),
        (
            "/api/traces?service=s&tags={\"a\":1}",
            400,
            "tags must be a JSON object of strings, but is \"{\\\"a\\\":1}\"",
        ),
        (
            "/api/traces?service=s&minDuration=100",
            400,
            "minDuration must be a duration such as 1.5s, but is \"100\"",
        ),
        (
            "/api/dependencies?endTs=now",
            400,
            "endTs must be a whole number, but is \"now\"",
        ),
        ("/api/nosuch", 404, "there is no such path"),
    ] {
        let answer = viewer.get(path).await;
        assert_eq!(answer.status(), code, "{path}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["data"], Value::Null, "{path}");
        assert_eq!(
            answer["errors"],
            json!([{"code": code, "msg": message}]),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_span_that_was_sent_twice_is_answered_once() {
    let viewer = with_fixtures().await;
    let again = fixture("otlp/input-d-short-id.otlp.json");
    viewer.send_json("/v1/traces", again).await;
    let trace = viewer.get_json(&format!("/api/traces/{D}")).await;
    assert_eq!(trace["data"][0]["spans"].as_array().unwrap().len(), 1);
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
    let path = recorded["request"].as_str().unwrap();
    let answer = viewer.get(path.strip_prefix("GET ").unwrap()).await;
    assert_eq!(answer.status().as_u16(), recorded["status"], "{name}");
    assert_eq!(
        answer.headers()["content-type"],
        "application/json",
        "{name}"
    );
    let answer: Value = answer.json().await.unwrap();
    let [answered, recorded] = [&answer, &recorded["body"]].map(|body| {
        let normal = normal(body.clone());
        serde_json::to_string_pretty(&normal).unwrap()
    });
    for (answered, recorded) in answered.lines().zip(recorded.lines()) {
        assert_eq!(answered, recorded, "{name}");
    }
    assert_eq!(answered.len(), recorded.len(), "{name}");
}

fn trace_ids(body: &Value) -> Vec<&str> {
    let traces = body["data"].as_array().unwrap().iter();
    traces
        .map(|trace| trace["traceID"].as_str().unwrap())
        .collect()
}

/// Lists without an order sorted, processes written out where they are used, warnings left out.
fn normal(mut body: Value) -> Value {
    let Some(data) = body["data"].as_array_mut() else {
        return body;
    };
    for trace in data.iter_mut().filter(|item| item.get("spans").is_some()) {
        let processes = trace["processes"].take();
        let spans = trace["spans"].as_array_mut().unwrap();
        for span in spans.iter_mut() {
            let process = span["processID"].as_str().unwrap();
            span["processID"] = processes[process].clone();
            span["warnings"] = Value::Null;
            for tag in span["tags"].as_array_mut().unwrap() {
                if let Some(float) = tag["value"].as_f64().filter(|_| tag["type"] == "float64") {
                    tag["value"] = json!(float);
                }
            }
        }
        spans.sort_by_key(ToString::to_string);
    }
    if data.iter().all(|item| item.get("spans").is_none()) {
        data.sort_by_key(ToString::to_string);
    }
    body
}
