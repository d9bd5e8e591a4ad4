//! Refuses requests for a foreign host.
//!
//! A page on the internet can point its own host name at 127.0.0.1 and then read from any server there, because
//! to the browser it is the same origin (DNS rebinding). The `Host` header still has the foreign name. Addresses
//! and localhost cannot be pointed elsewhere, so they are admitted; other names only when they are configured.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets a request through, or answers 421.
pub(crate) async fn only_known(
    State(allowed): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or_else(|| {
        request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
    });
    match host {
        Some(host) if is_known(host, &allowed) => next.run(request).await,
        _ => {
            let name = host.map_or("", name_of);
            let refusal = format!(
                "The viewer does not answer for the host name {name}. To admit it, add it to VIEWER_ALLOWED_HOSTS.\n"
            );
            (StatusCode::MISDIRECTED_REQUEST, refusal).into_response()
        }
    }
}

fn is_known(host: &str, allowed: &[String]) -> bool {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = name_of(host).to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

fn name_of(host: &str) -> &str {
    host.split_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_be_pointed_elsewhere_are_known() {
        let allowed = ["viewer".to_owned()];
        let cases = [
            ("127.0.0.1:16686", true),
            ("192.168.1.7", true),
            ("[::1]:16686", true),
            ("localhost:16686", true),
            ("LOCALHOST", true),
            ("orders.localhost", true),
            ("viewer:16686", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example:16686", false),
            ("localhost.evil.example", false),
            ("[evil]", false),
            ("", false),
        ];
        for (host, known) in cases {
            assert_eq!(is_known(host, &allowed), known, "{host}");
        }
    }
}
