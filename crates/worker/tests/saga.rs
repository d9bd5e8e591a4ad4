//! What the worker asks of whom, in which order, and what it makes of the answers.
//!
//! The three services are one small server here, which notes what it is asked and answers as the test
//! says. That the real ones answer like this is for the end-to-end tests to show.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::Request, http::StatusCode, response::IntoResponse};
use delivery::{Failure, FailureClass, Handler};
use messaging::OwnedMessage;
use rdkafka::message::Timestamp;
use serde_json::{Value, json};
use telemetry::testing::{Spans, attributes};
use tokio::net::TcpListener;
use tracing::Instrument;
use url::Url;
use worker::{email::Email, handler::OrderHandler, inventory::Inventory, orders::Orders};

const ORDER: &str = "0190e6a0-7b1e-7000-8000-000000000001";

/// The requests received, each as `METHOD path body`.
type Asked = Arc<Mutex<Vec<String>>>;
/// Status and body for requests whose line starts with this; all others get the answer of the real service.
type Answers = &'static [(&'static str, u16, &'static str)];

const UNKNOWN: &str = r#"{"error": "there is no such item", "code": "unknown_item"}"#;
const SOLD_OUT: &str = r#"{"error": "there is not enough of this item", "code": "not_enough"}"#;
const NO_PAGE: &str = r#"{"error": "there is no such page"}"#;
const BUSY: &str = r#"{"error": "this mail is being sent", "code": "busy"}"#;

struct Services {
    handler: OrderHandler,
    asked: Asked,
    /// The `baggage` header of each request.
    baggage: Asked,
    spans: Spans,
}

impl Services {
    async fn answering(answers: Answers) -> Self {
        let spans = Spans::capture(&["order.id"]);
        let (asked, baggage) = (Asked::default(), Asked::default());
        let app = Router::new().fallback({
            let (asked, baggage) = (Arc::clone(&asked), Arc::clone(&baggage));
            move |request: Request| {
                let header = request.headers().get("baggage").cloned();
                let header = header.map(|header| header.to_str().unwrap().to_owned());
                baggage.lock().unwrap().extend(header);
                answer(request, asked, answers)
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            handler: handler(&url),
            asked,
            baggage,
            spans,
        }
    }

    async fn handle(&self, payload: &str) -> Result<(), Failure> {
        let payload = Some(payload.as_bytes().to_vec());
        let (topic, now) = ("order.created".to_owned(), Timestamp::now());
        let message = OwnedMessage::new(payload, None, topic, now, 0, 0, None);
        self.handler.handle(&message).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn handler(url: &str) -> OrderHandler {
    let url: Url = url.parse().unwrap();
    OrderHandler {
        inventory: Inventory::at(url.clone()).unwrap(),
        orders: Orders::at(url.clone()).unwrap(),
        email: Email::at(url).unwrap(),
    }
}

async fn answer(request: Request, asked: Asked, answers: Answers) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1024).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let detail = ["quantity", "status", "kind"]
        .iter()
        .find_map(|field| body.get(field));
    let line = format!(
        "{} {} {}",
        parts.method,
        parts.uri,
        detail.unwrap_or(&Value::Null)
    );
    asked.lock().unwrap().push(line.clone());
    if let Some((_, status, body)) = answers.iter().find(|(start, ..)| line.starts_with(start)) {
        let body: Value = serde_json::from_str(body).unwrap();
        return (StatusCode::from_u16(*status).unwrap(), Json(body));
    }
    let path: Vec<&str> = parts.uri.path().split('/').collect();
    match path[..] {
        [_, "send"] => (StatusCode::ACCEPTED, Json(Value::Null)),
        [_, "stock", item, _] => {
            let level = json!({ "item_id": item, "available": 5, "reserved": 0 });
            (StatusCode::OK, Json(level))
        }
        _ => (StatusCode::OK, Json(json!({ "status": body["status"] }))),
    }
}

fn event() -> String {
    json!({
        "order_id": ORDER,
        "customer_id": "Ada",
        "items": [
            {"item_id": "B", "quantity": 1, "price": 5},
            {"item_id": "A", "quantity": 2, "price": 10},
            {"item_id": "A", "quantity": 3, "price": 10},
        ],
        "total": 55,
        "created_at": "2026-11-22T10:00:00.000000Z",
    })
    .to_string()
}

const RESERVE_A: &str = "POST /stock/A/reserve 5";
const RESERVE_B: &str = "POST /stock/B/reserve 1";
const CONFIRM: &str = "PATCH /orders/0190e6a0-7b1e-7000-8000-000000000001/status \"confirmed\"";
const CANCEL: &str = "PATCH /orders/0190e6a0-7b1e-7000-8000-000000000001/status \"cancelled\"";
const RELEASE_A: &str = "POST /stock/A/release null";
const RELEASE_B: &str = "POST /stock/B/release null";
const MAIL_CONFIRMED: &str = "POST /send \"confirmation\"";
const MAIL_CANCELLED: &str = "POST /send \"cancellation\"";

#[tokio::test]
async fn every_outcome_takes_its_steps_in_order() {
    let confirmed = [RESERVE_A, RESERVE_B, CONFIRM, MAIL_CONFIRMED];
    let cancelled = [
        RESERVE_A,
        RESERVE_B,
        CANCEL,
        RELEASE_A,
        RELEASE_B,
        MAIL_CANCELLED,
    ];
    let cancelled_early = [RESERVE_A, CANCEL, RELEASE_A, RELEASE_B, MAIL_CANCELLED];
    // An order that was decided before is followed, whatever would be decided today.
    let confirmed_before = [RESERVE_A, CANCEL, MAIL_CONFIRMED];
    let cancelled_before = [
        RESERVE_A,
        RESERVE_B,
        CONFIRM,
        RELEASE_A,
        RELEASE_B,
        MAIL_CANCELLED,
    ];
    let cases: [(&str, Answers, &[&str]); 7] = [
        ("all reserved", &[], &confirmed),
        ("sold out", &[(RESERVE_B, 409, SOLD_OUT)], &cancelled),
        (
            "unknown item",
            &[(RESERVE_A, 404, UNKNOWN)],
            &cancelled_early,
        ),
        (
            "unknown to the end",
            &[(RESERVE_A, 404, UNKNOWN), (RELEASE_A, 404, UNKNOWN)],
            &cancelled_early,
        ),
        (
            "confirmed before",
            &[
                (RESERVE_A, 409, SOLD_OUT),
                (CANCEL, 409, r#"{"status": "confirmed"}"#),
            ],
            &confirmed_before,
        ),
        (
            "shipped before",
            &[
                (RESERVE_A, 409, SOLD_OUT),
                (CANCEL, 409, r#"{"status": "shipped"}"#),
            ],
            &confirmed_before,
        ),
        (
            "cancelled before",
            &[(CONFIRM, 409, r#"{"status": "cancelled"}"#)],
            &cancelled_before,
        ),
    ];
    for (case, answers, expected) in cases {
        let services = Services::answering(answers).await;
        services.handle(&event()).await.expect(case);
        assert_eq!(services.asked(), expected, "{case}");
    }
}

#[tokio::test]
async fn a_failure_ends_the_attempt_where_it_happens() {
    let (refused, failed) = (FailureClass::Permanent, FailureClass::Transient);
    let away = FailureClass::Unavailable;
    type Case = (Answers, FailureClass, &'static str, &'static str, usize);
    #[rustfmt::skip]
    let cases: [Case; 20] = [
        (&[(RESERVE_A, 500, "{}")], failed, "500", "inventory answered 500", 1),
        (&[(RESERVE_A, 503, "{}")], away, "503", "inventory answered 503", 1),
        (&[(RESERVE_A, 422, "{}")], refused, "422", "inventory answered 422", 1),
        // Any router, proxy or wrong address can answer 404 or 409. Only inventory's own code refuses stock.
        (&[(RESERVE_A, 404, "{}")], refused, "404", "inventory answered 404", 1),
        (&[(RESERVE_A, 404, NO_PAGE)], refused, "404", "inventory answered 404", 1),
        (&[(RESERVE_A, 404, r#"["unknown_item"]"#)], refused, "404", "inventory answered 404", 1),
        (&[(RESERVE_A, 404, SOLD_OUT)], refused, "404", "inventory answered 404", 1),
        (&[(RESERVE_A, 409, "{}")], refused, "409", "inventory answered 409", 1),
        (&[(RESERVE_A, 409, r#"{"code": 7}"#)], refused, "409", "inventory answered 409", 1),
        (&[(RESERVE_A, 409, UNKNOWN)], refused, "409", "inventory answered 409", 1),
        // Nor does a 200 without a stock level reserve anything.
        (&[(RESERVE_A, 200, "{}")], failed, "invalid_answer", "inventory gave an answer", 1),
        (&[(RESERVE_A, 404, UNKNOWN), (RELEASE_A, 404, NO_PAGE)], refused, "404", "inventory answered 404", 3),
        (&[(CONFIRM, 404, "{}")], refused, "404", "orders answered 404", 3),
        (&[(CONFIRM, 409, "{}")], refused, "409", "orders answered 409", 3),
        (&[(CONFIRM, 409, r#"{"status": "pending"}"#)], failed, "invalid_answer", "orders left the order undecided", 3),
        (&[(CONFIRM, 200, "[]")], failed, "invalid_answer", "orders gave an answer", 3),
        (&[(MAIL_CONFIRMED, 404, NO_PAGE)], refused, "404", "email answered 404", 4),
        (&[(MAIL_CONFIRMED, 500, "{}")], failed, "500", "email answered 500", 4),
        (&[(MAIL_CONFIRMED, 200, "{}")], failed, "200", "email answered 200", 4),
        (&[(MAIL_CONFIRMED, 503, BUSY)], FailureClass::Busy, "busy", "email is busy", 4),
    ];
    for (answers, class, error_type, description, steps) in cases {
        let services = Services::answering(answers).await;
        let failure = services.handle(&event()).await.unwrap_err();
        assert_eq!(
            (failure.class(), failure.error_type()),
            (class, error_type),
            "{answers:?}"
        );
        assert!(failure.to_string().starts_with(description), "{failure}");
        assert_eq!(services.asked().len(), steps, "{answers:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_no_order_is_refused_and_nobody_is_asked() {
    let services = Services::answering(&[]).await;
    let zeros = "\0".repeat(1024 * 1024);
    for payload in [
        "",
        "null",
        "{}",
        "not JSON",
        &event().replace("55", "54"),
        &zeros,
    ] {
        let failure = services.handle(payload).await.unwrap_err();
        assert_eq!(failure.class(), FailureClass::Permanent, "{failure}");
        assert_eq!(failure.error_type(), "invalid_message", "{failure}");
    }
    assert_eq!(services.asked(), [""; 0]);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_waited_for() {
    let _spans = Spans::capture(&[]);
    // Nobody listens on port 1.
    let handler = handler("http://127.0.0.1:1");
    let message = OwnedMessage::new(
        Some(event().into_bytes()),
        None,
        "order.created".to_owned(),
        Timestamp::now(),
        0,
        0,
        None,
    );
    let failure = handler.handle(&message).await.unwrap_err();
    assert_eq!(
        (failure.class(), failure.error_type()),
        (FailureClass::Unavailable, "connect")
    );
}

/// A person may send a message again without its headers. The order's id is in the message all the same.
#[tokio::test]
async fn the_order_is_on_every_span_and_in_the_baggage_without_headers() {
    let services = Services::answering(&[]).await;
    let process = tracing::info_span!("process");
    let event = event();
    let handled = services.handle(&event).instrument(process.clone());
    handled.await.unwrap();
    drop(process);

    let ended = services.spans.ended();
    let names: Vec<_> = ended.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["POST", "POST", "PATCH", "POST", "process"]);
    for span in &ended {
        let id = attributes(span).get("order.id").map(ToString::to_string);
        assert_eq!(id.as_deref(), Some(ORDER), "{span:#?}");
    }
    let sent = services.baggage.lock().unwrap().clone();
    assert_eq!(sent, vec![format!("order.id={ORDER}"); 4]);
}
