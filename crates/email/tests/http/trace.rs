//! What a request leaves in its trace: so many statements, and no more.

use crate::app::{App, mail, new_order};

const CLAIM: &str = "INSERT email.mails";
const READ: &str = "SELECT email.mails";
const HAND_OVER: &str = "INSERT email.transport";
const MARK: &str = "UPDATE email.mails";

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
