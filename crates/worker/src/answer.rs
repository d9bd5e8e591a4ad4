//! What another service's answer means for the message at hand.
//!
//! Success is read from the body, not from the status alone: a router, a proxy or a wrong base URL can answer 200,
//! 404 or 409 as well. Everything else is a failure, of one of these classes:
//!
//! | answer | class |
//! |---|---|
//! | connection refused or reset, timeout, 408, 425, 429, 502, 503, 504 | `Unavailable`: retried until the service is back |
//! | any status with `"code": "busy"` | busy: this message is retried, the service is not at fault |
//! | 500 and every other unexpected status, a body that does not parse | `Transient`: up to 5 attempts, then a dead letter |
//! | any other 4xx, a bare 404 or 409 among them | `Permanent`: a dead letter at once |

use std::time::{Duration, SystemTime};

use delivery::{Failure, FailureClass};
use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use service::BUSY;

/// The longest time that a service's `Retry-After` is honoured for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// No answer that the worker needs is longer, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// A whole answer of the service called `service`.
#[derive(Debug)]
pub struct Answer {
    service: &'static str,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    /// Reads the answer to its end.
    ///
    /// # Errors
    /// There is no answer, it broke off, or it is longer than 64 KiB.
    pub(crate) async fn read(
        service: &'static str,
        response: reqwest::Result<Response>,
    ) -> Result<Self, Failure> {
        let lost = |error: reqwest::Error| no_answer(service, &error);
        let mut response = response.map_err(lost)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(invalid_answer(service));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self {
            service,
            status: response.status(),
            retry_after: retry_after(response.headers(), SystemTime::now()),
            body,
        })
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The `code` of a JSON object, if it has one that is a string.
    pub(crate) fn code(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("code")?.as_str()?.to_owned())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It has another shape.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| invalid_answer(self.service))
    }

    /// The failure that this answer is, where it is not an expected one.
    pub(crate) fn failure(&self) -> Failure {
        let (service, status) = (self.service, self.status.as_str());
        let code = self.code();
        let class = class_of(self.status, code.as_deref());
        if code.as_deref() == Some(BUSY) {
            return Failure::new(class, BUSY, format!("{service} is busy with the same work"));
        }
        let description = match self.retry_after {
            Some(time) => format!(
                "{service} answered {status}, Retry-After {} s",
                time.as_secs()
            ),
            None => format!("{service} answered {status}"),
        };
        Failure::new(class, status.to_owned(), description)
    }
}

/// The class of an unexpected answer with this status and this `code` in its body.
#[must_use]
pub fn class_of(status: StatusCode, code: Option<&str>) -> FailureClass {
    if code == Some(BUSY) {
        // `delivery` has no class for a busy service: unavailable is the nearest, since it does not count attempts.
        return FailureClass::Unavailable;
    }
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

/// How long `Retry-After` asks to wait: seconds, or a date that is compared with `now`. At most a minute; `None` if the
/// header is absent or malformed.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        // Digits that do not fit ask for more than a minute.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The failure of a request that got no answer. The error's own text has the URL in it, so it is left out.
fn no_answer(service: &str, error: &reqwest::Error) -> Failure {
    let (class, error_type, what) = if error.is_timeout() {
        (
            FailureClass::Unavailable,
            "timeout",
            "did not answer in time",
        )
    } else if error.is_connect() {
        (FailureClass::Unavailable, "connect", "could not be reached")
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

fn invalid_answer(service: &str) -> Failure {
    let description = format!("{service} gave an answer that makes no sense");
    Failure::new(FailureClass::Transient, "invalid_answer", description)
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
            // A success that the worker does not expect here.
            (204, FailureClass::Transient),
            (302, FailureClass::Transient),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(class_of(status, None), expected, "{status}");
            assert_eq!(class_of(status, Some("other")), expected, "{status}");
            let busy = class_of(status, Some("busy"));
            assert_eq!(busy, FailureClass::Unavailable, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_a_minute_at_most() {
        let now = httpdate::parse_http_date("Sat, 28 Nov 2026 10:00:00 GMT").unwrap();
        for (value, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("60", Some(60)),
            ("61", Some(60)),
            ("99999999999999999999999", Some(60)),
            ("Sat, 28 Nov 2026 10:00:09 GMT", Some(9)),
            ("Saturday, 28-Nov-26 10:00:09 GMT", Some(9)),
            ("Sat, 28 Nov 2026 09:00:00 GMT", Some(0)),
            ("Sun, 29 Nov 2026 10:00:00 GMT", Some(60)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
