//! Answers that are written while they are read, with a bound on the memory that all of them use together.
//!
//! An answer about a trace of 100,000 spans has some 60 MB. Built in one piece it would use several times as
//! much, on a thread that takes spans at the same time. So a thread of its own writes the answer, in pieces, and
//! waits while its reader is slow. What an answer needs beside these pieces grows with the spans of the trace
//! that it is at; `room` waits until there is memory for them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream::poll_fn;
use serde::{Serialize, Serializer};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_blocking;

/// The size of a piece, in bytes. A reader that is slow has a few of them waiting.
const PIECE: usize = 64 * 1024;

/// How many answers are written at once; more wait.
const WRITERS: usize = 32;

/// How long a reader may take for one piece before its answer is given up: it keeps memory from others.
const STALLED: Duration = Duration::from_secs(30);

/// The memory that an answer needs for each span of a trace, in bytes: its tree, and what is worked out on it.
const PER_SPAN: usize = 320;

/// Writes answers.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    writers: Arc<Semaphore>,
    /// One permit is memory for one span.
    spans: Arc<Semaphore>,
    max_spans: u32,
    stalled: Duration,
}

/// Memory for the spans of one trace; free again when this is dropped.
pub(crate) struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Answers {
    /// Answers that use about so many bytes together.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let pieces = WRITERS * 3 * PIECE;
        let max_spans = max_bytes.saturating_sub(pieces) / PER_SPAN;
        let max_spans = u32::try_from(max_spans).unwrap_or(u32::MAX).max(1_000);
        Self {
            writers: Arc::new(Semaphore::new(WRITERS)),
            spans: Arc::new(Semaphore::new(max_spans as usize)),
            max_spans,
            stalled: STALLED,
        }
    }

    /// The most spans that a trace may have, so that there can be an answer about it.
    pub(crate) fn max_spans(&self) -> usize {
        self.max_spans as usize
    }

    /// Waits for memory for a trace of so many spans. Only for use in `make` and while its value is written.
    /// A caller must hold no room for another trace while it waits, or two answers could wait for each other.
    pub(crate) fn room(&self, spans: usize) -> Room {
        let permits = u32::try_from(spans).unwrap_or(u32::MAX).min(self.max_spans);
        let spans = Arc::clone(&self.spans);
        let permit = Handle::current().block_on(spans.acquire_many_owned(permits));
        // The semaphore is never closed.
        Room {
            _permit: permit.ok(),
        }
    }

    /// Answers with the JSON of a value that is made, and written, on a thread where it may take its time.
    pub(crate) async fn json<T: Serialize>(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Response {
        let permit = Arc::clone(&self.writers).acquire_owned().await;
        let (pieces, mut receiver) = mpsc::channel(1);
        let written = Arc::new(AtomicBool::new(false));
        let is_whole = Arc::clone(&written);
        let stalled = self.stalled;
        spawn_blocking(move || {
            let _permit = permit;
            let mut writer = Pieces {
                pieces,
                stalled,
                piece: Vec::with_capacity(PIECE),
            };
            let result = serde_json::to_writer(&mut writer, &make());
            match result
                .map_err(io::Error::from)
                .and_then(|()| writer.flush())
            {
                Ok(()) => written.store(true, Ordering::Release),
                Err(error) => tracing::warn!(%error, "an answer was given up"),
            }
        });
        // Without an error at its end, a reader would take an answer that was given up for whole.
        let body = poll_fn(move |context| {
            let piece = receiver.poll_recv(context).map(|piece| piece.map(Ok));
            piece.map(|piece| match piece {
                None if !is_whole.load(Ordering::Acquire) => {
                    Some(Err(io::Error::from(io::ErrorKind::TimedOut)))
                }
                piece => piece,
            })
        });
        let body = Body::from_stream(body);
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// Gathers what is written into pieces, and waits for the reader to take them.
struct Pieces {
    pieces: mpsc::Sender<Bytes>,
    stalled: Duration,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sending = self.pieces.send_timeout(piece.into(), self.stalled);
        Handle::current()
            .block_on(sending)
            .map_err(|error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => io::ErrorKind::TimedOut.into(),
                mpsc::error::SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
            })
    }
}

/// An array whose elements are made one by one, while it is written.
pub(crate) struct Seq<F>(pub(crate) F);

impl<F, I> Serialize for Seq<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn zeros(count: usize) -> impl Serialize {
        Seq(move || std::iter::repeat_n(0, count))
    }

    #[tokio::test]
    async fn an_answer_of_many_pieces_is_whole() {
        let answers = Answers::new(0);
        let answer = answers.json(|| zeros(500_000)).await;
        let body = to_bytes(answer.into_body(), usize::MAX).await;
        assert_eq!(body.map(|body| body.len()).ok(), Some(1_000_001));
    }

    #[tokio::test]
    async fn an_answer_that_was_given_up_is_not_taken_for_whole() {
        let mut answers = Answers::new(0);
        answers.stalled = Duration::ZERO;
        let answer = answers.json(|| zeros(500_000)).await;
        // The writer keeps its permit until it has given up.
        let writers = u32::try_from(WRITERS).unwrap_or(u32::MAX);
        let given_up = answers.writers.acquire_many(writers).await;
        drop(given_up);
        let body = to_bytes(answer.into_body(), usize::MAX).await;
        assert!(body.is_err());
    }

    #[tokio::test]
    async fn a_trace_waits_until_there_is_memory_for_it() {
        let answers = Answers::new(0);
        let spans = answers.max_spans();
        let (begun, first) = std::sync::mpsc::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let one = answers.clone();
        let one = spawn_blocking(move || {
            let _room = one.room(spans);
            begun.send(()).ok();
            wait.recv().ok();
        });
        spawn_blocking(move || first.recv()).await.ok();
        assert_eq!(answers.spans.available_permits(), 0);
        go_on.send(()).ok();
        one.await.ok();
        assert_eq!(answers.spans.available_permits(), spans);
    }
}
