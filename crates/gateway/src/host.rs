//! Refuses requests for a foreign host.
//!
//! A page on the internet can point its own name at 127.0.0.1 and then read and order what it likes:
//! to the browser it is all the same origin (DNS rebinding). The `Host` header gives it away. Only a
//! name can be pointed elsewhere, so addresses and localhost are let in, and other names when the
//! configuration has them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::Response;
use service::ApiError;

/// Lets a request through, or answers 421.
pub(crate) async fn refuse_foreign(
    State(allowed): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if is_known(host(&request), &allowed) {
        return Ok(next.run(request).await);
    }
    let status = StatusCode::MISDIRECTED_REQUEST;
    Err(ApiError::refused(
        status,
        "this host name is not known here",
    ))
}

/// What the client believes to talk to; a request line with a whole URL in it counts before `Host`.
fn host(request: &Request) -> &str {
    let header = request.headers().get(HOST);
    request
        .uri()
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| header?.to_str().ok())
        .unwrap_or_default()
}

fn is_known(host: &str, allowed: &[String]) -> bool {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split_once(':').map_or(host, |(name, _port)| name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || allowed.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_cannot_be_pointed_here_by_others_is_known() {
        let allowed = ["gateway".to_owned()];
        let cases = [
            ("127.0.0.1:8080", true),
            ("10.1.2.3", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("gateway:8080", true),
            ("Gateway", true),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example:8080", false),
            ("localhost.evil.example", false),
            ("gateway.evil.example", false),
            ("user@127.0.0.1", false),
            ("[evil]", false),
            ("[::1", false),
            ("::1", false),
            ("", false),
        ];
        for (host, known) in cases {
            assert_eq!(is_known(host, &allowed), known, "{host}");
        }
    }
}
