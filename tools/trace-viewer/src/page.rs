//! The page: a few files that are part of the program, no build step, nothing from elsewhere.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

/// Only this server's own files, and nothing inline: what a span says can't become script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files, and the page itself at every address that it makes up.
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
    let mut text = without_notes(source);
    if content_type == CSS {
        text = packed(text);
    }
    let text = Bytes::from(text);
    get(async move || {
        let headers = [
            (CONTENT_TYPE, content_type),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, text).into_response()
    })
}

/// What the browser needs of a source: comments that fill lines, and indentation, are for people. No text
/// in these files goes over a line's end, so nothing else is touched.
fn without_notes(source: &str) -> String {
    let mut lean = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines().map(str::trim) {
        in_comment |= line.starts_with("/*");
        if !in_comment && !line.is_empty() && !line.starts_with("//") {
            lean.push_str(line);
            lean.push('\n');
        }
        in_comment &= !line.ends_with("*/");
    }
    lean
}

/// A style sheet without the spaces that mean nothing; those between selectors do.
fn packed(css: String) -> String {
    let spaces = [
        ("; }", "}"),
        (" { ", "{"),
        (" {", "{"),
        (" }", "}"),
        ("; ", ";"),
        (": ", ":"),
        (", ", ","),
        ("\n", ""),
    ];
    let pack = |css: String, (from, to)| css.replace(from, to);
    spaces.into_iter().fold(css, pack)
}

#[cfg(test)]
mod tests {
    use super::{packed, without_notes};

    #[test]
    fn spaces_go_that_mean_nothing() {
        let css = ".a > .b:not(.c) .d, .e { color: red; margin: 0 -1px; }\n.f { top: calc(1px - 2px); }\n";
        assert_eq!(
            packed(css.to_owned()),
            ".a > .b:not(.c) .d,.e{color:red;margin:0 -1px}.f{top:calc(1px - 2px)}"
        );
    }

    #[test]
    fn only_notes_are_left_out() {
        let source = "// why\n\n/** what\n *  it is */\nlet a = 1; // stays\n  * b\n/* short */\n.c { d: e }\n";
        assert_eq!(
            without_notes(source),
            "let a = 1; // stays\n* b\n.c { d: e }\n"
        );
    }
}
