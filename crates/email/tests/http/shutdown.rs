//! Clients that go away, and the end of the service.

use std::process::{Command, Output};

use crate::app::{App, mail, new_order};

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_claim_behind() {
    let mut app = App::start().await;
    let order = new_order();
    let transport = app.hold_transport().await;
    let client = tokio::spawn(app.send(&mail(&order, "confirmation")));
    app.until_claimed(&order).await;

    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    app.stop_serving().await;
    let (_, released) = tokio::join!(app.mailer.finish(), transport.rollback());
    released.unwrap();

    assert_eq!(
        app.state(&order, "confirmation").await.as_deref(),
        Some("sent")
    );
    assert_eq!(app.sent(&order).await.len(), 1);
}

#[test]
fn delays_that_make_no_sense_are_refused_at_start() {
    for (min, max, named) in [
        ("200", "50", "EMAIL_DELAY_MIN_MS"),
        ("0", "20001", "EMAIL_DELAY_MAX_MS"),
        ("-1", "50", "EMAIL_DELAY_MIN_MS"),
        ("soon", "50", "EMAIL_DELAY_MIN_MS"),
    ] {
        let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_email"))
            .env("POSTGRES_URL", "postgres://nobody@127.0.0.1:1/nothing")
            .env("PORT", "0")
            .env("EMAIL_DELAY_MIN_MS", min)
            .env("EMAIL_DELAY_MAX_MS", max)
            .env("OTEL_SDK_DISABLED", "true")
            .output()
            .unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{min} {max}: {stderr}");
        assert!(stderr.contains(named), "{min} {max}: {stderr}");
    }
}
