//! A consumer: what to consume, and what to do with each message.

use std::{future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use messaging::{Instrumentation, Producer};
use rdkafka::{ClientConfig, message::OwnedMessage};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Failure, Logging, Membership,
    attempts::Attempts,
    dead_letter, lanes,
    ledger::Ledger,
    poll::Poller,
    settings::{self, connection},
    waiting::Waiting,
};

/// What to do with each message.
///
/// A closure that takes an [`OwnedMessage`] is a handler too; it gets a copy of the message.
pub trait Handler: Send + Sync + 'static {
    /// Handles one message, inside its `process` span.
    ///
    /// The same message may come more than once: after a crash, a rebalance or a failure. Handling it again must have
    /// no further effect.
    fn handle(&self, message: &OwnedMessage) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl<F, R> Handler for F
where
    F: Fn(OwnedMessage) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), Failure>> + Send,
{
    async fn handle(&self, message: &OwnedMessage) -> Result<(), Failure> {
        self(message.clone()).await
    }
}

/// Consumes one topic as a member of a consumer group.
#[derive(Debug)]
pub struct Consumer {
    ledger: Arc<Ledger>,
    poller: Poller,
    messages: mpsc::Receiver<Vec<lanes::Taken>>,
    concurrency: NonZeroUsize,
    instrumentation: Instrumentation,
    dead_letters: Producer<Logging>,
    waiting: Waiting,
}

/// Settings of a [`Consumer`].
#[derive(Debug, Clone)]
#[must_use = "build() makes the consumer"]
pub struct ConsumerBuilder {
    config: ClientConfig,
    topic: String,
    concurrency: NonZeroUsize,
    drain: Duration,
    instrumentation: Option<Instrumentation>,
}

impl ConsumerBuilder {
    /// How many messages are handled at once, at most. The default is 256.
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// How long the end waits for handlers that run. The default is 8 s.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// What makes the spans. The default is `Instrumentation::new` of the consumer's settings.
    pub fn instrumentation(mut self, instrumentation: Instrumentation) -> Self {
        self.instrumentation = Some(instrumentation);
        self
    }

    /// Makes the consumer. It joins its group when it is [run](Consumer::run).
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that would break a promise of this crate, [`Error::Missing`] without a
    /// `group.id`; else what librdkafka says of the settings.
    pub fn build(self) -> Result<Consumer, Error> {
        let config = crate::poll::settings(&self.config)?;
        // Twice as many in hand as are handled at once, so that handling never waits for polling.
        let capacity = 2 * self.concurrency.get();
        let ledger = Arc::new(Ledger::new(&self.topic, capacity));
        let (sender, messages) = mpsc::channel(capacity);
        let mut dead_letters = connection(&config);
        dead_letters.set("message.max.bytes", dead_letter::MAX_BYTES.to_string());
        let instrumentation = self
            .instrumentation
            .unwrap_or_else(|| Instrumentation::new(&config));
        Ok(Consumer {
            poller: Poller::new(&config, Arc::clone(&ledger), sender, self.drain)?,
            ledger,
            messages,
            concurrency: self.concurrency,
            dead_letters: settings::producer(&dead_letters, &instrumentation)?,
            instrumentation,
            waiting: Waiting::default(),
        })
    }
}

impl Consumer {
    /// A consumer of `topic`, of the group in `config` (`group.id`).
    pub fn builder(config: &ClientConfig, topic: impl Into<String>) -> ConsumerBuilder {
        ConsumerBuilder {
            config: config.clone(),
            topic: topic.into(),
            concurrency: NonZeroUsize::new(256).unwrap_or(NonZeroUsize::MIN),
            drain: Duration::from_secs(8),
            instrumentation: None,
        }
    }

    /// What a readiness check needs to know, now and later.
    #[must_use]
    pub fn membership(&self) -> Membership {
        Membership::new(Arc::clone(&self.ledger), self.waiting.clone())
    }

    /// Handles messages until `shutdown` is cancelled. Each message is retried or dead-lettered as its failures demand.
    /// Then it waits for handlers that run, for as long as [configured](ConsumerBuilder::drain), and leaves the group.
    ///
    /// # Errors
    /// librdkafka cannot go on: the program should end and be started again.
    pub async fn run<H: Handler>(
        self,
        handler: H,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let attempts = Attempts {
            instrumentation: self.instrumentation,
            handler,
            dead_letters: self.dead_letters,
            waiting: self.waiting,
        };
        let polling = self.poller.start(shutdown)?;
        // Ends when the poller, which holds the other end of the channel, has ended.
        lanes::run(self.messages, attempts, self.ledger, self.concurrency.get()).await;
        polling.await
    }
}
