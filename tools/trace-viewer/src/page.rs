//! The page: a few files compiled into the program. There is no build step, and nothing is loaded from elsewhere.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

/// Allows only files of this server, and nothing inline: no text of a span can become script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files, and the page itself under each address that it shows in the address bar.
pub(crate) fn router() -> Router {
    let page = file(HTML, include_str!("page/index.html"));
    Router::new()
        .route("/", page.clone())
        .route("/search", page.clone())
        .route("/order/{id}", page.clone())
        .route("/trace/{id}", page)
        .route("/page/style.css", file(CSS, include_str!("page/style.css")))
        .route("/page/icon.svg", file(SVG, include_str!("page/icon.svg")))
        .route("/page/app.js", file(JS, include_str!("page/app.js")))
        .route("/page/dom.js", file(JS, include_str!("page/dom.js")))
        .route("/page/format.js", file(JS, include_str!("page/format.js")))
        .route("/page/list.js", file(JS, include_str!("page/list.js")))
        .route("/page/trace.js", file(JS, include_str!("page/trace.js")))
        .route("/page/head.js", file(JS, include_str!("page/head.js")))
        .route(
            "/page/timeline.js",
            file(JS, include_str!("page/timeline.js")),
        )
        .route("/page/rows.js", file(JS, include_str!("page/rows.js")))
        .route("/page/axis.js", file(JS, include_str!("page/axis.js")))
        .route(
            "/page/details.js",
            file(JS, include_str!("page/details.js")),
        )
}

fn file(content_type: &'static str, source: &'static str) -> MethodRouter {
    get(async move || {
        let headers = [
            (CONTENT_TYPE, content_type),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, source).into_response()
    })
}
