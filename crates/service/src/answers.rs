//! How many bytes of answers are in memory at once.
//!
//! A list can be a thousand times as long as the request for it, and a client may read it as slowly as it likes. So
//! the number of requests in flight does not bound the memory that answers take: the bytes have to be counted, until
//! the last of them has been written to the socket.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ApiError;

/// Answers up to this length are not counted: the number of connections bounds them well enough.
const SMALL: usize = 16 * 1024;

/// The bytes that large answers may take together. Clones share them.
#[derive(Debug, Clone)]
pub struct AnswerBudget(Arc<Semaphore>);

/// Room for one answer.
#[derive(Debug)]
pub struct Room(Option<OwnedSemaphorePermit>);

impl AnswerBudget {
    /// A budget of so many bytes, at most 4 GiB.
    #[must_use]
    pub fn new(bytes: u32) -> Self {
        Self(Arc::new(Semaphore::new(bytes as usize)))
    }

    /// Takes room for an answer of this length; to be called before it is read into memory.
    ///
    /// # Errors
    /// 503: there is no room at the moment.
    pub fn take(&self, bytes: usize) -> Result<Room, ApiError> {
        if bytes <= SMALL {
            return Ok(Room(None));
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match Arc::clone(&self.0).try_acquire_many_owned(bytes) {
            Ok(permit) => Ok(Room(Some(permit))),
            Err(_) => Err(ApiError::unavailable("too many large answers at once")),
        }
    }

    /// Refuses an answer for which there is no room, on all of these routes. It has been made by then, so what the
    /// budget bounds is how many wait to be sent.
    pub fn apply(self, routes: Router) -> Router {
        routes.route_layer(from_fn_with_state(self, bound))
    }
}

impl Room {
    /// The body, which gives the room back when the last of it has been written to the socket.
    #[must_use]
    pub fn keep(self, body: Bytes) -> Bytes {
        match self.0 {
            Some(permit) => Bytes::from_owner(Kept {
                body,
                _permit: permit,
            }),
            None => body,
        }
    }
}

struct Kept {
    body: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

async fn bound(
    State(budget): State<AnswerBudget>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (parts, body) = next.run(request).await.into_parts();
    let length = body.size_hint().exact().unwrap_or(0);
    let room = budget.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    // Nothing is copied: a handler's body is one piece.
    let body = to_bytes(body, usize::MAX).await;
    let body = body.map_err(|error| ApiError::Internal(error.into()))?;
    Ok(Response::from_parts(parts, Body::from(room.keep(body))))
}
