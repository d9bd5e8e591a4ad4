//! Bad input gets a clear error and changes nothing.

use reqwest::{Method, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::app::{App, new_order};

const JSON: &str = "application/json";

#[tokio::test]
async fn bodies_that_are_refused() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-010", &order, 5).await;
    let before = app.everything().await;

    for (path, body, status, said) in [
        ("/stock/ITEM-010/reserve", "", 400, "ends too early"),
        ("/stock/ITEM-010/reserve", "{", 400, "ends too early"),
        ("/stock/ITEM-010/reserve", "quantity=1", 400, "no JSON"),
        ("/stock/ITEM-010/reserve", "[]", 400, ""),
        ("/stock/ITEM-010/reserve", "null", 400, "wrong type"),
        ("/stock/ITEM-010/reserve", "{} {}", 400, ""),
        ("/stock/ITEM-010/release", "", 400, "ends too early"),
        ("/stock/ITEM-010/release", "{}", 400, "order_id"),
        (
            "/stock/ITEM-010/release",
            r#"{"order_id":7}"#,
            400,
            "order_id",
        ),
        (
            "/stock/ITEM-010/release",
            r#"{"order_id":"x"}"#,
            422,
            "order_id",
        ),
        ("/stock/ITEM-010/steal", "{}", 404, ""),
        ("/stock/ITEM-010", "{}", 405, ""),
        ("/stock", "{}", 405, ""),
    ] {
        refused(&app, path, JSON, body, (status, said)).await;
    }

    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn values_that_are_refused() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-010", &order, 5).await;
    let before = app.everything().await;

    for (field, value, status, said) in [
        ("order_id", "7", 400, "order_id: wrong type"),
        ("order_id", "null", 400, "order_id: wrong type"),
        ("order_id", r#""""#, 422, "order_id: must be a UUID"),
        ("order_id", r#""7""#, 422, "order_id: must be a UUID"),
        ("quantity", r#""1""#, 400, "quantity: wrong type"),
        ("quantity", "1.5", 400, "quantity: wrong type"),
        ("quantity", "null", 400, "quantity: wrong type"),
        ("quantity", "1e30", 400, "quantity: wrong type"),
        ("quantity", "0", 422, "quantity: must be 1 to 1000000"),
        ("quantity", "-1", 422, "quantity: must be 1 to 1000000"),
        ("quantity", "1000001", 422, "quantity: must be 1 to 1000000"),
        (
            "quantity",
            "9223372036854775807",
            422,
            "quantity: must be 1 to 1000000",
        ),
    ] {
        let body = match field {
            "order_id" => format!(r#"{{"order_id":{value},"quantity":1}}"#),
            _ => format!(r#"{{"order_id":"{order}","quantity":{value}}}"#),
        };
        refused(&app, "/stock/ITEM-010/reserve", JSON, &body, (status, said)).await;
    }
    for field in ["order_id", "quantity"] {
        let mut body = json!({"order_id": order, "quantity": 1});
        body.as_object_mut().unwrap().remove(field);
        let body = body.to_string();
        refused(&app, "/stock/ITEM-010/reserve", JSON, &body, (400, field)).await;
    }

    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn good_bodies_that_are_refused() {
    let app = App::start().await;
    let before = app.everything().await;
    let mut body = json!({"order_id": new_order(), "quantity": 1});

    for call in ["reserve", "release"] {
        let path = format!("/stock/ITEM-010/{call}");
        refused(
            &app,
            &path,
            "text/plain",
            &body.to_string(),
            (415, "application/json"),
        )
        .await;
        for item in ["a%20b", "a.b", "%FF", "%00"] {
            let path = format!("/stock/{item}/{call}");
            refused(&app, &path, JSON, &body.to_string(), (404, "")).await;
        }
    }
    refused(
        &app,
        "/stock/NOPE/reserve",
        JSON,
        &body.to_string(),
        (404, "no such item"),
    )
    .await;
    body["padding"] = "x".repeat(64 * 1024).into();
    refused(
        &app,
        "/stock/ITEM-010/reserve",
        JSON,
        &body.to_string(),
        (413, "too large"),
    )
    .await;

    assert_eq!(app.everything().await, before);
}

/// A POST that must be answered with this status, and an error that says this.
async fn refused(app: &App, path: &str, content_type: &str, body: &str, expected: (u16, &str)) {
    let (expected, said) = expected;
    let case = format!("POST {path} {body:.80}");
    let request = app
        .http
        .post(app.url(path))
        .header(CONTENT_TYPE, content_type);
    let answer = request.body(body.to_owned()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), expected, "{case}");
    let answer: Value = answer.json().await.expect(&case);
    let error = answer["error"].as_str().expect(&case);
    assert!(error.contains(said), "{case}: {error}");
}

#[tokio::test]
async fn methods_that_are_not_allowed() {
    let app = App::start().await;

    for (method, path) in [
        (Method::DELETE, "/stock"),
        (Method::PUT, "/stock/ITEM-001"),
        (Method::GET, "/stock/ITEM-001/reserve"),
        (Method::GET, "/stock/ITEM-001/release"),
    ] {
        let answer = app
            .http
            .request(method.clone(), app.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        let body: serde_json::Value = answer.json().await.unwrap();
        assert!(body["error"].is_string(), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn what_is_not_known_in_a_body_is_ignored() {
    let app = App::start().await;
    let body = json!({"order_id": new_order(), "quantity": 2, "colour": "green"});

    let (status, _) = app.post("/stock/ITEM-010/reserve", &body).await;

    assert_eq!(status, 200);
    assert_eq!(app.levels("ITEM-010").await, (23, 2));
}
