//! HTTP methods as span attributes and names.
//!
//! The conventions want few distinct values here, and a method can be any token that a stranger likes to
//! send. What it was exactly (`http.request.method_original`) is therefore left out.

use http::Method;

/// The methods that the conventions count as known: those of RFC 9110, PATCH and QUERY.
const KNOWN: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];

/// The value of `http.request.method`: the method if it is a known one, else `_OTHER`.
pub(crate) fn attribute(method: &Method) -> &str {
    let known = KNOWN.contains(&method.as_str());
    if known { method.as_str() } else { "_OTHER" }
}

/// The method's part in a span name, where `_OTHER` reads `HTTP`.
pub(crate) fn in_name(method: &Method) -> &str {
    match attribute(method) {
        "_OTHER" => "HTTP",
        known => known,
    }
}
