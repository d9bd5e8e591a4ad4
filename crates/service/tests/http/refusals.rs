//! Everything that can be wrong with a request, and with us: always JSON, always the right status.

use axum::{
    Router,
    http::{Method, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;
use service::{Always, ApiError, Json, Path, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, answer, soon};

const BODY_LIMIT: usize = 64 * 1024;
const JSON: Option<&str> = Some("application/json");

#[derive(Debug, Serialize, Deserialize)]
struct Basket {
    owner: String,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    count: i64,
}

#[derive(Deserialize)]
struct Page {
    limit: Option<u8>,
}

async fn start() -> Server {
    let routes = Router::new()
        .route(
            "/baskets",
            post(async |Json(basket): Json<Basket>| Json(basket)),
        )
        .route("/baskets/{id}", get(async |Path(id): Path<u32>| Json(id)))
        .route(
            "/names/{name}",
            get(async |Path(name): Path<String>| Json(name)),
        )
        .route(
            "/pages",
            get(async |Query(page): Query<Page>| Json(page.limit)),
        )
        .route("/fails/{how}", get(fail))
        .route("/panics/{how}", get(panic_on_purpose));
    Server::start(service::app(routes, Always)).await
}

async fn fail(Path(how): Path<String>) -> ApiError {
    let io = || std::io::Error::other("secret");
    match how.as_str() {
        "bad-request" => ApiError::bad_request("no"),
        "not-found" => ApiError::not_found("no"),
        "conflict" => ApiError::conflict("no"),
        "invalid" => ApiError::invalid("lines[0].count", "must be 1"),
        "bad-gateway" => ApiError::bad_gateway("no"),
        "unavailable" => ApiError::unavailable("no"),
        "gateway-timeout" => ApiError::gateway_timeout("no"),
        "teapot" => ApiError::refused(StatusCode::IM_A_TEAPOT, "no"),
        "internal" => ApiError::Internal(anyhow::Error::new(io()).context("secret")),
        "sql-pool-is-empty" => sqlx::Error::PoolTimedOut.into(),
        "sql-pool-is-closed" => sqlx::Error::PoolClosed.into(),
        "sql-is-away" => sqlx::Error::Io(io()).into(),
        "sql-is-odd" => sqlx::Error::Protocol("secret".to_owned()).into(),
        _ => sqlx::Error::RowNotFound.into(),
    }
}

async fn panic_on_purpose(Path(how): Path<String>) -> ApiError {
    match how.as_str() {
        "with-words" => panic!("secret"),
        "with-text" => panic!("{how} secret"),
        _ => std::panic::panic_any(42),
    }
}

#[tokio::test]
async fn bodies() {
    let server = start().await;
    for (content_type, body, status, error) in [
        (JSON, r#"{"owner":"a","lines":[{"count":1}]}"#, 200, ""),
        (JSON, r#" {"owner":"a","lines":[],"more":1} "#, 200, ""),
        (
            Some("application/json; charset=utf-8"),
            r#"{"owner":"a","lines":[]}"#,
            200,
            "",
        ),
        (
            Some("APPLICATION/JSON"),
            r#"{"owner":"a","lines":[]}"#,
            200,
            "",
        ),
        (None, "{}", 415, "the content type must be application/json"),
        (
            Some("text/plain"),
            "{}",
            415,
            "the content type must be application/json",
        ),
        (
            Some("application/jsonp"),
            "{}",
            415,
            "the content type must be application/json",
        ),
        (
            Some("application/x-www-form-urlencoded"),
            "a=b",
            415,
            "the content type must be application/json",
        ),
        (JSON, "", 400, "the JSON ends too early (line 1, column 0)"),
        (
            JSON,
            r#"{"owner":"a"#,
            400,
            "owner: the JSON ends too early (line 1, column 11)",
        ),
        (JSON, "secret", 400, "this is no JSON (line 1, column 1)"),
        (
            JSON,
            r#"{"owner":"a","lines":[]}{"#,
            400,
            "this is no JSON (line 1, column 25)",
        ),
        (JSON, "{}", 400, "missing field `owner` (line 1, column 2)"),
        (
            JSON,
            r#"{"owner":"a","lines":[{"count":1},{}]}"#,
            400,
            "lines[1]: missing field `count` (line 1, column 36)",
        ),
        (
            JSON,
            r#"{"owner":4711,"lines":[]}"#,
            400,
            "owner: wrong type (line 1, column 13)",
        ),
        (
            JSON,
            r#"{"owner":"a","lines":[{"count":"4711"}]}"#,
            400,
            "lines[0].count: wrong type (line 1, column 37)",
        ),
        (
            JSON,
            r#"{"owner":"a","lines":[{"count":1.5}]}"#,
            400,
            "lines[0].count: wrong type (line 1, column 34)",
        ),
        (JSON, "\"4711\"", 400, "wrong type (line 1, column 6)"),
    ] {
        let mut request = server.http.post(server.url("/baskets")).body(body);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let answer = answer(request).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        if status != 200 {
            assert_eq!(answer.body, json!({ "error": error }), "{body}");
        }
    }
}

#[tokio::test]
async fn a_long_path_is_cut() {
    let server = start().await;
    let body = format!(r#"{{"{}": nonsense}}"#, "x".repeat(10_000));
    let request = server.http.post(server.url("/baskets")).body(body);
    let answer = answer(request.header(CONTENT_TYPE, "application/json")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.error().len() < 128, "{answer:?}");
}

#[tokio::test]
async fn bodies_at_and_above_the_limit() {
    let server = start().await;
    for (length, status) in [
        (BODY_LIMIT, 200),
        (BODY_LIMIT + 1, 413),
        (16 * BODY_LIMIT, 413),
    ] {
        let request = server
            .http
            .post(server.url("/baskets"))
            .body(basket_of(length));
        let answer = answer(request.header(CONTENT_TYPE, "application/json")).await;
        assert_eq!(answer.status, status, "{length}");
        if status != 200 {
            assert_eq!(answer.body, json!({"error": "the body is too large"}));
        }
    }
}

/// Without a `Content-Length` that would give it away.
#[tokio::test]
async fn chunked_bodies_at_and_above_the_limit() {
    let server = start().await;
    for (length, expected) in [
        (BODY_LIMIT, "HTTP/1.1 200 "),
        (BODY_LIMIT + 1, "HTTP/1.1 413 "),
    ] {
        let head = "POST /baskets HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                    content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let body = basket_of(length);
        let request = format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n");
        let mut connection = server.connect().await;
        connection.write_all(request.as_bytes()).await.unwrap();

        let mut answer = Vec::new();
        // A server may hang up on what it did not want to read.
        let _ = soon(connection.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(expected), "{length}: {answer:.200}");
        let refused = answer.ends_with(r#"{"error":"the body is too large"}"#);
        assert_eq!(refused, length > BODY_LIMIT, "{answer:.200}");
    }
}

/// A valid body of this many bytes.
fn basket_of(length: usize) -> String {
    let empty = r#"{"owner":"","lines":[]}"#;
    let owner = "x".repeat(length - empty.len());
    format!(r#"{{"owner":"{owner}","lines":[]}}"#)
}

#[tokio::test]
async fn pages_and_methods() {
    let server = start().await;
    let page = "there is no such page";
    let method = "this method is not allowed here";
    for (verb, path, status, error, allow) in [
        (Method::GET, "/", 404, page, None),
        (Method::GET, "/nothing", 404, page, None),
        (Method::POST, "/nothing", 404, page, None),
        (Method::GET, "/baskets/", 404, page, None),
        (Method::GET, "/healthz/", 404, page, None),
        (Method::GET, "/baskets", 405, method, Some("POST")),
        (Method::DELETE, "/baskets/1", 405, method, Some("GET,HEAD")),
        (Method::POST, "/healthz", 405, method, Some("GET,HEAD")),
        (Method::PUT, "/readyz", 405, method, Some("GET,HEAD")),
    ] {
        let answer = answer(server.http.request(verb.clone(), server.url(path))).await;
        assert_eq!(answer.status, status, "{verb} {path}");
        assert_eq!(answer.body, json!({ "error": error }), "{verb} {path}");
        assert_eq!(answer.header("allow"), allow, "{verb} {path}");
    }
}

#[tokio::test]
async fn parameters() {
    let server = start().await;
    let thing = "there is no such thing";
    let query = "query: a parameter has the wrong type";
    for (path, status, expected) in [
        ("/baskets/7", 200, json!(7)),
        ("/baskets/seven", 404, json!({ "error": thing })),
        ("/baskets/-7", 404, json!({ "error": thing })),
        ("/names/a%20b", 200, json!("a b")),
        ("/names/%ff", 404, json!({ "error": thing })),
        ("/pages", 200, json!(null)),
        ("/pages?limit=7&more=1", 200, json!(7)),
        ("/pages?limit=", 422, json!({ "error": query })),
        ("/pages?limit=many", 422, json!({ "error": query })),
        ("/pages?limit=256", 422, json!({ "error": query })),
        ("/pages?limit=1&limit=2", 422, json!({ "error": query })),
    ] {
        let answer = answer(server.get(path)).await;
        assert_eq!((answer.status, answer.body), (status, expected), "{path}");
    }
}

#[tokio::test]
async fn failures() {
    let server = start().await;
    for (how, status, error) in [
        ("bad-request", 400, "no"),
        ("not-found", 404, "no"),
        ("conflict", 409, "no"),
        ("teapot", 418, "no"),
        ("invalid", 422, "lines[0].count: must be 1"),
        ("internal", 500, "internal error"),
        ("sql-is-odd", 500, "internal error"),
        ("sql-row-is-missing", 500, "internal error"),
        ("bad-gateway", 502, "no"),
        ("unavailable", 503, "no"),
        ("sql-pool-is-empty", 503, "not available at the moment"),
        ("sql-pool-is-closed", 503, "not available at the moment"),
        ("sql-is-away", 503, "not available at the moment"),
        ("gateway-timeout", 504, "no"),
    ] {
        let answer = answer(server.get(&format!("/fails/{how}"))).await;
        assert_eq!(answer.status, status, "{how}");
        assert_eq!(answer.body, json!({ "error": error }), "{how}");
        let retry = (status == 503).then_some("1");
        assert_eq!(answer.header("retry-after"), retry, "{how}");
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_service_goes_on() {
    let server = start().await;
    for how in ["with-words", "with-text", "with-a-number"] {
        let answer = answer(server.get(&format!("/panics/{how}"))).await;
        assert_eq!(answer.status, 500, "{how}");
        assert_eq!(answer.body, json!({"error": "internal error"}), "{how}");
    }
    assert_eq!(answer(server.get("/baskets/7")).await.status, 200);
}

#[test]
fn an_error_is_an_answer_of_its_status() {
    let error = ApiError::conflict("no");
    assert_eq!(error.status(), StatusCode::CONFLICT);
    assert_eq!(error.into_response().status(), StatusCode::CONFLICT);
}
