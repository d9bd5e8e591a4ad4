//! Clients that go away, and the end of the service.

use std::{process::Output, time::Duration};

use orderflow::testing::{Program, Proxy};
use tokio::{process::Command, time::timeout};

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

#[tokio::test]
async fn delays_that_make_no_sense_are_refused_at_start() {
    for (min, max, named) in [
        ("200", "50", "EMAIL_DELAY_MIN_MS must not be greater"),
        ("0", "20001", "email-delay-max-ms"),
        ("-1", "50", "email-delay-min-ms"),
        ("soon", "50", "email-delay-min-ms"),
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_email"))
            .env("POSTGRES_URL", "postgres://nobody@127.0.0.1:1/nothing")
            .env("PORT", "0")
            .env("EMAIL_DELAY_MIN_MS", min)
            .env("EMAIL_DELAY_MAX_MS", max)
            .env("OTEL_SDK_DISABLED", "true")
            .kill_on_drop(true)
            .output();
        // If it is not refused, it runs.
        let ended = timeout(Duration::from_secs(60), program).await;
        let ended = ended.unwrap_or_else(|_| panic!("{min} {max}: it runs"));
        let Output { status, stderr, .. } = ended.unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{min} {max}: {said}");
        assert!(said.contains(named), "{min} {max}: {said}");
    }
}

/// PostgreSQL is frozen, and a request and its mail wait for it.
#[tokio::test]
async fn the_service_ends_within_ten_seconds_of_sigterm() {
    let database = orderflow::testing::database().await;
    let proxy = Proxy::before(database.socket()).await.unwrap();
    let url = database.url_through(&proxy, "email");
    let program = env!("CARGO_BIN_EXE_email");
    let mut program = Program::start(program, &[("POSTGRES_URL", &url)])
        .await
        .unwrap();
    let send = || {
        let url = format!("http://{}/send", program.address());
        let request = reqwest::Client::new().post(url);
        request.json(&mail(&new_order(), "confirmation")).send()
    };
    assert_eq!(send().await.unwrap().status(), 202);

    proxy.freeze();
    let waiting = tokio::spawn(send());
    let sent = timeout(Duration::from_secs(60), proxy.until_unanswered());
    sent.await.unwrap();
    let ended = program.terminate(Duration::from_secs(10)).await.unwrap();
    assert!(ended.expect("it goes on").success());
    assert_eq!(waiting.await.unwrap().unwrap().status(), 503);
}
