//! One message, attempted until it is handled, or kept as a dead letter.
//!
//! The guarantee: a message is done only when its handling succeeded or its dead letter was
//! acknowledged by the broker. Everything else gives it up unfinished, and it comes again.
//!
//! What helps depends on the failure. Who is away is waited for, without limit, so that an outage
//! leaves no dead letters behind. Who is there and fails gets five attempts within about ten
//! seconds. What was refused for good is not tried again. Pauses grow exponentially and are drawn
//! at random from zero up ("full jitter"), so that many messages do not come back in step.
//!
//! Each attempt is a `process` span of its own, all of them children of the same `send` span; the
//! pause between two is nobody's span.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use messaging::{Instrumentation, MessageHeaders, Producer};
use opentelemetry::{Context, context::FutureExt as _};
use rdkafka::message::{Message, OwnedMessage};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::{
    Failure, FailureClass, Handler, Logging, dead_letter, dead_letter::Undeliverable,
    waiting::Waiting,
};

/// A dead letter that does not fit into librdkafka's queue fails at once, and is retried here.
const NOT_WHEN_FULL: Duration = Duration::ZERO;
/// How often somebody who is there may fail.
const ATTEMPTS: u32 = 5;
/// Pauses for who fails: up to 0.6, 1.2, 2.4 and 4.8 seconds.
const FAILED: Backoff = Backoff {
    first: Duration::from_millis(600),
    longest: Duration::from_secs(5),
};
/// Pauses for who is away: soon enough when they are back, rare enough to leave them in peace.
const UNAVAILABLE: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(5),
};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is handled, or kept as a dead letter.
    Done,
    /// It is given up, because its partition goes to another consumer; it will come again there.
    Abandoned,
}

/// Takes messages to their end.
#[derive(Debug)]
pub(super) struct Attempts<H> {
    pub(super) instrumentation: Instrumentation,
    pub(super) handler: H,
    pub(super) dead_letters: Producer<Logging>,
    pub(super) waiting: Waiting,
}

impl<H: Handler> Attempts<H> {
    /// Has a message handled, to whatever end. When `draining` is cancelled no further attempt is
    /// made, and a pause ends at once.
    pub(super) async fn deliver(
        &self,
        message: &OwnedMessage,
        draining: &CancellationToken,
    ) -> Outcome {
        let headers = MessageHeaders::of(message);
        let before = dead_letter::attempts_before(&headers);
        let (mut failed, mut away) = (0, 0);
        loop {
            let earlier = before.saturating_add(failed).saturating_add(away);
            let (failure, context) = match self.process(message, &headers, earlier).await {
                Ok(()) => return Outcome::Done,
                Err(failed) => failed,
            };
            let pause = match failure.class() {
                FailureClass::Permanent => None,
                FailureClass::Transient => {
                    failed += 1;
                    (failed < ATTEMPTS).then(|| FAILED.pause(failed))
                }
                FailureClass::Unavailable => {
                    away += 1;
                    Some(UNAVAILABLE.pause(away))
                }
            };
            let Some(pause) = pause else {
                let kept = self.keep(message, &failure, earlier.saturating_add(1), draining);
                return kept.with_context(context).await;
            };
            tell(message, &failure, earlier.saturating_add(1));
            let _waiting = self.waiting.wait_for(&failure);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = draining.cancelled() => return Outcome::Abandoned,
            }
        }
    }

    /// Calls the handler once, in a `process` span. A failure comes with the context of its span, in which the dead
    /// letter is sent.
    async fn process(
        &self,
        message: &OwnedMessage,
        headers: &MessageHeaders<'_>,
        retries: u32,
    ) -> Result<(), (Failure, Context)> {
        let span = self.instrumentation.retry_span(message, headers, retries);
        // The call is inside the net as well: a handler may panic before it returns its future.
        let handling = AssertUnwindSafe(async { self.handler.handle(message).await });
        let handled = span.enter(handling.catch_unwind()).await;
        let result = handled.unwrap_or_else(|_panic| Err(Failure::panicked()));
        result.map_err(|failure| {
            span.fail(failure.error_type().to_owned(), failure.to_string());
            (failure, span.context().clone())
        })
    }

    /// Writes the dead letter, however long that takes: a message is never skipped.
    async fn keep(
        &self,
        message: &OwnedMessage,
        failure: &Failure,
        attempts: u32,
        draining: &CancellationToken,
    ) -> Outcome {
        let letter = Undeliverable::new(message, failure, attempts);
        for tries in 1.. {
            let Err(error) = self.dead_letters.send(letter.record(), NOT_WHEN_FULL).await else {
                break;
            };
            warn!(%error, "a dead letter could not be written");
            let _waiting = self.waiting.wait_for(failure);
            tokio::select! {
                () = tokio::time::sleep(UNAVAILABLE.pause(tries)) => {}
                () = draining.cancelled() => return Outcome::Abandoned,
            }
        }
        error!(
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            error.type = failure.error_type(),
            attempts,
            "dead letter written: {failure}"
        );
        Outcome::Done
    }
}

/// Says that a message is tried again: once for an outage, each time for a failure.
fn tell(message: &OwnedMessage, failure: &Failure, attempts: u32) {
    let (partition, offset) = (message.partition(), message.offset());
    if failure.class() == FailureClass::Transient || attempts == 1 {
        warn!(partition, offset, attempts, error.type = failure.error_type(), "will be tried again: {failure}");
    } else {
        debug!(partition, offset, attempts, error.type = failure.error_type(), "still waiting: {failure}");
    }
}

/// Pauses that double from `first` up to `longest`.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// A pause after so many tries.
    fn pause(&self, tries: u32) -> Duration {
        rand::random_range(Duration::ZERO..=self.ceiling(tries))
    }

    fn ceiling(&self, tries: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let ceilings: Vec<_> = (1..=6)
            .map(|tries| FAILED.ceiling(tries).as_millis())
            .collect();
        assert_eq!(ceilings, [600, 1_200, 2_400, 4_800, 5_000, 5_000]);
        assert_eq!(UNAVAILABLE.ceiling(u32::MAX), Duration::from_secs(5));
    }

    #[test]
    fn five_attempts_take_about_ten_seconds_at_most() {
        let longest: Duration = (1..ATTEMPTS).map(|tries| FAILED.ceiling(tries)).sum();
        assert_eq!(longest, Duration::from_secs(9));
    }
}
