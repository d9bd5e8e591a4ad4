//! The page: a few files compiled into the program. There is no build step, and nothing is loaded from elsewhere.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

use crate::settings::Settings;

/// Allows only files of this server, and nothing inline: no text of a span can become script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files, and the page itself under each address that it shows in the address bar.
pub(crate) fn router(settings: &Settings) -> Router {
    let page = file(HTML, html(settings));
    let mut router = Router::new();
    if let Some(entity) = settings.entity_name() {
        router = router.route(&format!("/{entity}/{{id}}"), page.clone());
    }
    router
        .route("/", page.clone())
        .route("/search", page.clone())
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

/// The page with the settings in it. `data-entity` is the word for an entity, and empty when there is none.
fn html(settings: &Settings) -> String {
    let entity = settings.entity_name().unwrap_or_default();
    let ids = match entity.split_at_checked(1) {
        Some((first, rest)) => format!("{}{rest} id, trace id", first.to_uppercase()),
        None => "Trace id".to_owned(),
    };
    let settings = [
        ("{{name}}", &*settings.name),
        ("{{entity}}", entity),
        (
            "{{attribute}}",
            settings.entity.as_deref().unwrap_or_default(),
        ),
        ("{{ids}}", &ids),
    ];
    let html = include_str!("page/index.html").to_owned();
    let set = |html: String, (place, value): (&str, &str)| html.replace(place, &escaped(value));
    settings.into_iter().fold(html, set)
}

fn file(content_type: &'static str, source: impl Into<Bytes>) -> MethodRouter {
    let source = source.into();
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

/// Text that is safe in HTML, between tags and in quoted attributes.
fn escaped(text: &str) -> String {
    let entities = [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\"", "&quot;"),
    ];
    let escape = |text: String, (from, to)| text.replace(from, to);
    entities.into_iter().fold(text.to_owned(), escape)
}
