//! HTTP methods as span attributes and names.
//!
//! The conventions want few distinct values here, and a method can be any token that a stranger likes to
//! send. What it was exactly (`http.request.method_original`) is therefore left out.

use http::Method;

/// The value of `http.request.method`: the method if it is a standard one, else `_OTHER`.
pub(crate) fn attribute(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::CONNECT
        | Method::OPTIONS
        | Method::TRACE
        | Method::PATCH => method.as_str(),
        _ => "_OTHER",
    }
}

/// The method's part in a span name, where `_OTHER` reads `HTTP`.
pub(crate) fn in_name(method: &Method) -> &str {
    match attribute(method) {
        "_OTHER" => "HTTP",
        known => known,
    }
}
