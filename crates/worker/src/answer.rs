//! What the answer of another service means for the message at hand.
//!
//! Three kinds of failure are told apart, because different things help against them:
//! - nobody answered, or asked for patience (408, 425, 429, 502–504): wait, they will be back;
//! - somebody is there and failed (500): try a few times more;
//! - somebody refused (any other 4xx): trying again would be refused again.

use delivery::{Failure, FailureClass};
use reqwest::{Response, StatusCode};

/// The failure that an unexpected status is.
pub(crate) fn refused(service: &str, response: &Response) -> Failure {
    let status = response.status();
    let description = format!("{service} answered {}", status.as_str());
    Failure::new(class(status), status.as_str().to_owned(), description)
}

/// The failure that no answer is, or one that broke off or made no sense.
///
/// The error's own text has the address in it, and maybe more; the kind is what matters.
pub(crate) fn missing(service: &str, error: &reqwest::Error) -> Failure {
    let (class, error_type, what) = if error.is_timeout() {
        (
            FailureClass::Unavailable,
            "timeout",
            "did not answer in time",
        )
    } else if error.is_connect() {
        (FailureClass::Unavailable, "connect", "could not be reached")
    } else if error.is_decode() {
        (
            FailureClass::Transient,
            "invalid_answer",
            "gave an answer that makes no sense",
        )
    } else if error.is_builder() {
        (
            FailureClass::Permanent,
            "invalid_request",
            "could not be asked",
        )
    } else {
        (FailureClass::Unavailable, "broken_off", "broke off")
    };
    Failure::new(class, error_type, format!("{service} {what}"))
}

fn class(status: StatusCode) -> FailureClass {
    match status {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => FailureClass::Unavailable,
        status if status.is_client_error() => FailureClass::Permanent,
        _ => FailureClass::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_of_every_kind_of_status() {
        for (status, expected) in [
            (400, FailureClass::Permanent),
            (404, FailureClass::Permanent),
            (408, FailureClass::Unavailable),
            (409, FailureClass::Permanent),
            (413, FailureClass::Permanent),
            (422, FailureClass::Permanent),
            (425, FailureClass::Unavailable),
            (429, FailureClass::Unavailable),
            (500, FailureClass::Transient),
            (501, FailureClass::Transient),
            (502, FailureClass::Unavailable),
            (503, FailureClass::Unavailable),
            (504, FailureClass::Unavailable),
            // An answer that should not come at all.
            (204, FailureClass::Transient),
            (302, FailureClass::Transient),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(class(status), expected, "{status}");
        }
    }
}
