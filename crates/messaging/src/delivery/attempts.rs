//! What becomes of a message whose handling fails.
//!
//! For now: it is logged, its span has the error, and the consumer moves on. Nothing is tried again
//! and nothing is kept.

use rdkafka::message::{Message, OwnedMessage};
use tracing::error;

use crate::{Handler, consumer::Attempt};

/// Has a message handled, to whatever end.
pub(super) async fn deliver<H: Handler>(attempt: &Attempt<H>, message: &OwnedMessage) {
    if let Err(failure) = attempt.process(message).await {
        error!(
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            error.type = failure.error_type,
            "message given up: {failure}"
        );
    }
}
