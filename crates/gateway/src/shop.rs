//! A small shop page, for people who would rather click than type curl commands.
//!
//! It uses nothing but the public routes, and shows of each order what became of it and where its
//! trace is. It is not traced itself: it is about orders, and not a part of any.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use url::Url;

const PAGE: &str = include_str!("shop/index.html");
const STYLE: &str = include_str!("shop/shop.css");
const SCRIPT: &str = include_str!("shop/shop.js");
/// Stands in the page for the address of a trace, up to its id.
const TRACE_URL: &str = "TRACE_URL";

/// The page speaks to this gateway and to nobody else, and nothing in it is run but its own script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, whose links to traces begin with `trace_url`.
pub(crate) fn routes(trace_url: &Url) -> Router {
    // A URL has no quotes or angle brackets: its parser escapes them. An ampersand is fine in HTML.
    let page = PAGE.replace(TRACE_URL, trace_url.as_str());
    Router::new()
        .route("/", get(page_with_policy))
        .route(
            "/shop.css",
            get(async || file("text/css; charset=utf-8", STYLE)),
        )
        .route(
            "/shop.js",
            get(async || file("text/javascript; charset=utf-8", SCRIPT)),
        )
        .method_not_allowed_fallback(service::refuse_method)
        .with_state(page)
}

async fn page_with_policy(State(page): State<String>) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 2] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(page))
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")],
        text,
    )
}
