//! Requests that come again: the mail does not.

use futures_util::future::join_all;
use serde_json::json;

use crate::app::{App, mail, new_order};

/// The first attempt to mark a mail fails. A sequence counts the attempts, because what it has
/// counted is not rolled back.
const REFUSE_FIRST_MARK: &str = "
    CREATE SEQUENCE email.attempts;
    CREATE FUNCTION email.refuse_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF nextval('email.attempts') = 1 THEN RAISE EXCEPTION 'not now'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_first BEFORE UPDATE ON email.mails
        FOR EACH ROW EXECUTE FUNCTION email.refuse_first();";

#[tokio::test]
async fn what_is_sent_is_not_sent_again() {
    let app = App::start().await;
    let order = new_order();

    for _ in 0..3 {
        assert_eq!(app.send(&mail(&order, "confirmation")).await.status(), 202);
    }

    assert_eq!(app.sent(&order).await.len(), 1);
}

#[tokio::test]
async fn what_is_being_sent_is_to_be_asked_for_later() {
    let app = App::start().await;
    let order = new_order();
    let transport = app.hold_transport().await;
    let first = tokio::spawn(app.send(&mail(&order, "confirmation")));
    app.until_claimed(&order).await;

    let second = app.send(&mail(&order, "confirmation")).await;
    assert_eq!(second.status(), 503);
    assert_eq!(second.headers()["retry-after"], "1");
    let body: serde_json::Value = second.json().await.unwrap();
    let expected = json!({"error": "this mail is being sent", "code": "busy"});
    assert_eq!(body, expected);

    transport.rollback().await.unwrap();
    assert_eq!(first.await.unwrap().status(), 202);
    assert_eq!(app.sent(&order).await.len(), 1);
}

#[tokio::test]
async fn of_many_at_once_one_sends() {
    let app = App::start().await;
    let order = new_order();

    let answers = join_all((0..30).map(|_| app.send(&mail(&order, "confirmation")))).await;

    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect();
    assert!(statuses.contains(&202), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [202, 503].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(app.sent(&order).await.len(), 1);
}

#[tokio::test]
async fn a_claim_is_kept_for_thirty_seconds() {
    let app = App::start().await;
    for (age, status, mails) in [("20 seconds", 503, 0), ("31 seconds", 202, 1)] {
        let order = new_order();
        app.execute(format!(
            "INSERT INTO email.mails (order_id, kind, state, claimed_at)
             VALUES ('{order}', 'cancellation', 'sending', now() - interval '{age}')"
        ))
        .await;

        assert_eq!(
            app.send(&mail(&order, "cancellation")).await.status(),
            status,
            "{age}"
        );
        assert_eq!(app.sent(&order).await.len(), mails, "{age}");
    }
}

#[tokio::test]
async fn of_many_that_find_an_old_claim_one_takes_it_over() {
    let app = App::start().await;
    let order = new_order();
    app.execute(format!(
        "INSERT INTO email.mails (order_id, kind, state, claimed_at)
         VALUES ('{order}', 'confirmation', 'sending', now() - interval '1 hour')"
    ))
    .await;

    join_all((0..30).map(|_| app.send(&mail(&order, "confirmation")))).await;

    assert_eq!(app.sent(&order).await.len(), 1);
    assert_eq!(
        app.state(&order, "confirmation").await.as_deref(),
        Some("sent")
    );
}

#[tokio::test]
async fn a_sent_mail_stays_sent_however_old_its_claim() {
    let app = App::start().await;
    let order = new_order();
    app.send(&mail(&order, "confirmation")).await;
    app.execute("UPDATE email.mails SET claimed_at = now() - interval '1 year'".to_owned())
        .await;

    assert_eq!(app.send(&mail(&order, "confirmation")).await.status(), 202);
    assert_eq!(app.sent(&order).await.len(), 1);
}

#[tokio::test]
async fn marking_is_tried_again() {
    let app = App::start().await;
    app.execute(REFUSE_FIRST_MARK.to_owned()).await;
    let order = new_order();

    assert_eq!(app.send(&mail(&order, "confirmation")).await.status(), 202);

    assert_eq!(
        app.state(&order, "confirmation").await.as_deref(),
        Some("sent")
    );
    assert_eq!(app.sent(&order).await.len(), 1);
    assert_eq!(app.scalar("SELECT last_value FROM email.attempts").await, 2);
}
