//! What stands around the routes of every service.
//!
//! From the outside in: the request's span; a bound on how many requests are in flight, since what
//! comes on top would only make all of them late; a deadline; a limit on the body; and a net for
//! panics. Health checks stand outside of all that: they are not traced, and are answered under
//! load as well.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{ApiError, Readiness, health};

/// What a service takes at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// How long a request may take. It is answered with 503 then, not 504: no other service is to
    /// blame, and whoever asks may ask again.
    pub deadline: Duration,
    /// How many requests may be in flight. What comes on top is answered with 503 at once.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 64 * 1024,
            deadline: Duration::from_secs(30),
            in_flight: 512,
        }
    }
}

/// A service's routes with everything around them.
pub fn app(routes: Router, readiness: impl Readiness) -> Router {
    app_with_limits(routes, readiness, Limits::default())
}

/// The same, with limits of its own.
pub fn app_with_limits(routes: Router, readiness: impl Readiness, limits: Limits) -> Router {
    let room = Arc::new(Semaphore::new(limits.in_flight));
    let traced = routes
        .fallback(async || ApiError::not_found("there is no such page"))
        .method_not_allowed_fallback(refuse_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(limits.body))
        .layer(from_fn_with_state(limits.deadline, in_time))
        .layer(from_fn_with_state(room, if_there_is_room))
        .layer(from_fn(telemetry::http_server::trace_request));
    traced.merge(health::routes(readiness))
}

/// Answers a method that a route does not have, as a fallback for routes outside of [`app`]. axum adds
/// which methods are allowed, as `Allow`.
pub async fn refuse_method() -> ApiError {
    let message = "this method is not allowed here";
    ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, message)
}

async fn if_there_is_room(
    State(room): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // Given back when this function ends, also when the client goes away before.
    let Ok(_permit) = room.try_acquire() else {
        return Err(ApiError::unavailable("too many requests at once"));
    };
    Ok(next.run(request).await)
}

async fn in_time(
    State(deadline): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    tokio::time::timeout(deadline, next.run(request))
        .await
        .map_err(|_| ApiError::unavailable("this took too long"))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("no message").to_owned();
    ApiError::Internal(anyhow::anyhow!("a handler panicked: {message}")).into_response()
}
