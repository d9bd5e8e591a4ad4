//! What a request leaves in its trace: so many statements, and no more.

use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use telemetry::testing::attributes;

use crate::app::{App, mail, new_order};

const CLAIM: &str = "INSERT email.mails";
const READ: &str = "SELECT email.mails";
const HAND_OVER: &str = "INSERT email.transport";
const MARK: &str = "UPDATE email.mails";

/// More than a span takes to end.
const SOON: Duration = Duration::from_secs(60);

/// Also those that are made in a task of their own belong to the request.
#[tokio::test]
async fn statements_of_each_request() {
    let app = App::start().await;
    let order = new_order();
    let send = || {
        let request = app.http.post(app.url("/send"));
        request.json(&mail(&order, "confirmation"))
    };

    for (case, request, expected) in [
        ("send", send(), vec![CLAIM, HAND_OVER, MARK]),
        ("again", send(), vec![CLAIM, READ]),
        ("ready", app.http.get(app.url("/readyz")), vec![]),
    ] {
        let statements = app
            .spans
            .statements_on_behalf_of(("order.id", &order), request)
            .await;
        assert_eq!(statements, expected, "{case}");
    }
}

/// The order's id comes from the body, so a call without baggage is found by its order as well.
#[tokio::test]
async fn the_order_is_on_every_span_without_baggage() {
    let app = App::start().await;
    let order = new_order();
    assert_eq!(app.send(&mail(&order, "confirmation")).await.status(), 202);

    let ended = |spans: &[SpanData]| spans.iter().any(|span| span.name == "POST /send");
    for span in app.spans.wait_until(SOON, ended).await {
        let id = attributes(&span).get("order.id").map(ToString::to_string);
        assert_eq!(id, Some(order.clone()), "{span:#?}");
    }
}
