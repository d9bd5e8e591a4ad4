//! Sending a mail.

use std::time::{Duration, Instant};

use crate::app::{App, mail, new_order};

#[tokio::test]
async fn a_mail_is_handed_to_the_transport_and_marked() {
    let app = App::start().await;
    let order = new_order();

    let answer = app.send(&mail(&order, "confirmation")).await;

    assert_eq!(answer.status(), 202);
    assert_eq!(answer.text().await.unwrap(), "");
    assert_eq!(
        app.state(&order, "confirmation").await.as_deref(),
        Some("sent")
    );
    let sent = app.sent(&order).await;
    assert_eq!(sent, [("Ada".to_owned(), "confirmation".to_owned())]);
}

#[tokio::test]
async fn each_kind_is_a_mail_of_its_own() {
    let app = App::start().await;
    let order = new_order();

    for kind in ["confirmation", "cancellation"] {
        assert_eq!(app.send(&mail(&order, kind)).await.status(), 202, "{kind}");
    }

    assert_eq!(app.sent(&order).await.len(), 2);
}

#[tokio::test]
async fn sending_takes_its_time() {
    let delay = Duration::from_millis(60);
    let app = App::with_delay(delay).await;

    let start = Instant::now();
    app.send(&mail(&new_order(), "confirmation")).await;

    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
}

#[tokio::test]
async fn without_its_database_it_is_alive_but_not_ready() {
    let app = App::without_database().await;

    let health = app.http.get(app.url("/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let ready = app.http.get(app.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);

    let answer = app.send(&mail(&new_order(), "confirmation")).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}
