//! Bad input gets a clear error and changes nothing.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::app::{App, mail, new_order};

const JSON: &str = "application/json";

#[tokio::test]
async fn bodies_that_are_refused() {
    let app = App::start().await;
    let good = mail(&new_order(), "confirmation");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let without = |field: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(field);
        body.to_string()
    };

    let cases = [
        (JSON, String::new(), 400, ""),
        (JSON, "{".to_owned(), 400, ""),
        (JSON, "[]".to_owned(), 400, ""),
        (JSON, "null".to_owned(), 400, ""),
        (JSON, without("order_id"), 400, "order_id"),
        (JSON, without("customer_id"), 400, "customer_id"),
        (JSON, without("kind"), 400, "kind"),
        (JSON, with("order_id", json!(1)), 400, "order_id"),
        (JSON, with("customer_id", json!(null)), 400, "customer_id"),
        (JSON, with("kind", json!({})), 400, "kind"),
        (JSON, with("order_id", json!("1")), 422, "order_id"),
        (JSON, with("customer_id", json!("")), 422, "customer_id"),
        (JSON, with("customer_id", json!(" \t ")), 422, "customer_id"),
        (
            JSON,
            with("customer_id", json!("a\u{0}b")),
            422,
            "customer_id",
        ),
        (
            JSON,
            with("customer_id", json!("x".repeat(129))),
            422,
            "customer_id",
        ),
        (JSON, with("kind", json!("")), 422, "kind"),
        (JSON, with("kind", json!("Confirmation")), 422, "kind"),
        (JSON, with("kind", json!("newsletter")), 422, "kind"),
        (JSON, with("padding", json!("x".repeat(65 * 1024))), 413, ""),
        ("text/plain", good.to_string(), 415, ""),
    ];
    for (content_type, body, status, named) in cases {
        let case = format!("{status} {body:.80}");
        let request = app
            .http
            .post(app.url("/send"))
            .header(CONTENT_TYPE, content_type);
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{case}");
        let answer: Value = answer.json().await.expect(&case);
        let error = answer["error"].as_str().expect(&case);
        assert!(error.contains(named), "{case}: {error}");
    }

    assert_eq!(app.scalar("SELECT count(*) FROM email.mails").await, 0);
    assert_eq!(app.scalar("SELECT count(*) FROM email.transport").await, 0);
}

#[tokio::test]
async fn routes_and_methods_that_are_not_there() {
    let app = App::start().await;

    for (method, path, status) in [
        (Method::GET, "/send", 405),
        (Method::PUT, "/send", 405),
        (Method::POST, "/", 404),
        (Method::GET, "/mails", 404),
    ] {
        let answer = app
            .http
            .request(method.clone(), app.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["error"].is_string(), "{method} {path}: {body}");
    }
}
