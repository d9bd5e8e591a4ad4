//! HTTP methods as span attributes and names.
//!
//! A client can send any token as a method, but names and attributes of spans should have few distinct
//! values. So an unknown method becomes `_OTHER`, and `http.request.method_original` is left out.

use http::Method;

/// The methods that the conventions call known: those of RFC 9110, PATCH and QUERY.
const KNOWN: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];

/// The value of `http.request.method`: the method if it is known, else `_OTHER`.
pub(crate) fn attribute(method: &Method) -> &str {
    let known = KNOWN.contains(&method.as_str());
    if known { method.as_str() } else { "_OTHER" }
}

/// The method's part in a span name: the method if it is known, else `HTTP`.
pub(crate) fn in_name(method: &Method) -> &str {
    match attribute(method) {
        "_OTHER" => "HTTP",
        known => known,
    }
}
