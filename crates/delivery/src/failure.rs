//! Why a message could not be handled, and what follows from it.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

/// What a consumer does after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureClass {
    /// This message can never be handled. A dead letter is written at once. Example: a value that does not parse, a 422.
    Permanent,
    /// The dependency answered with an error. Retried up to 5 times, then dead-lettered. Example: a 500.
    Transient,
    /// The dependency is not there, or asks for patience. Retried until it is back; the offset does not move. Example:
    /// connection refused, a timeout, a 503.
    Unavailable,
    /// The dependency is there and busy with this very message. Only this message is retried, for 10 minutes at most.
    /// Example: a row that is locked, a mail that is being sent.
    Busy,
}

/// Why a message could not be handled.
///
/// `?` turns any error into a [`Transient`](FailureClass::Transient) failure, whose `error.type` is the name of the
/// error's type.
#[derive(Debug, Clone)]
pub struct Failure {
    class: FailureClass,
    error_type: Cow<'static, str>,
    description: String,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure. `error_type` becomes the span's `error.type`, of which there must be few values; `description` becomes
    /// the span's status and a header of the dead letter, and must not contain personal data.
    pub fn new(
        class: FailureClass,
        error_type: impl Into<Cow<'static, str>>,
        description: impl Into<String>,
    ) -> Self {
        Self {
            class,
            error_type: error_type.into(),
            description: description.into(),
            retry_after: None,
            source: None,
        }
    }

    /// Sets how long the dependency asked to wait, as in the header `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// The same failure, of another class.
    #[must_use]
    pub fn with_class(mut self, class: FailureClass) -> Self {
        self.class = class;
        self
    }

    /// How long the dependency asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// A panic of the handler: the message is retried, and other messages go on.
    pub(crate) fn panicked() -> Self {
        Self::new(FailureClass::Transient, "panic", "the handler panicked")
    }

    /// What the consumer does now.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        self.class
    }

    /// The value of `error.type`.
    #[must_use]
    pub fn error_type(&self) -> &str {
        &self.error_type
    }

    /// The error that `?` has turned into this failure.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            class: FailureClass::Transient,
            error_type: std::any::type_name::<E>().into(),
            description: error.to_string(),
            retry_after: None,
            source: Some(Arc::new(error)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}
