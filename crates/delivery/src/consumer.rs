//! A consumer: what to consume, and what to do with each message.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::RandomState,
    num::NonZeroUsize,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use messaging::Instrumentation;
use rdkafka::{ClientConfig, message::OwnedMessage};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Failure, Membership, RetryPolicy,
    core::{CANCELLATION, Core, Limits},
    dead_letter,
    kafka::{self, Kafka},
    letters::Letters,
    membership::Shared,
    run::Run,
    settings,
};

/// How long a revoked partition waits for its handlers.
const REVOKE: Duration = Duration::from_secs(5);
/// What leaving the group gets of the time for the end.
const LEAVE: Duration = Duration::from_millis(500);

/// What to do with each message.
///
/// A closure that takes an [`OwnedMessage`] is a handler too; it gets a copy of the message.
pub trait Handler: Send + Sync + 'static {
    /// Handles one message, inside its `process` span.
    ///
    /// The same message may come more than once: after a crash, a rebalance or a failure. Handling it again must have
    /// no further effect. The future is dropped when its partition is taken away and the time for the revocation is
    /// over, or at the end of the program.
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

/// Consumes topics as a member of a consumer group.
pub struct Consumer {
    config: ClientConfig,
    topics: Vec<String>,
    leave: Duration,
    instrumentation: Instrumentation,
    letters: Option<Letters>,
    shared: Arc<Shared>,
}

/// Settings of a [`Consumer`].
#[derive(Clone)]
#[must_use = "build() makes the consumer"]
pub struct ConsumerBuilder {
    config: ClientConfig,
    topics: Vec<String>,
    concurrency: NonZeroUsize,
    max_bytes: usize,
    shutdown_timeout: Duration,
    retries: RetryPolicy,
    dead_letters: DeadLetters,
    instrumentation: Option<Instrumentation>,
}

/// Where messages go that cannot be handled.
#[derive(Debug, Clone)]
enum DeadLetters {
    /// To the topic `TOPIC.dlq`.
    OfEachTopic,
    To(String),
    Off,
}

impl ConsumerBuilder {
    /// Consumes one more topic. A name that begins with `^` is a pattern, as in librdkafka.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// How many messages are handled at once, at most. The default is 256. Twice as many are in hand: received and
    /// waiting for a handler, for another message of their key, or for a retry.
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// How many bytes the messages in hand may have. The default is 64 MiB. At this bound no more messages are taken; the
    /// last one may exceed it.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long [`Consumer::run`] may take after `shutdown` was cancelled. The default is 8 s. One second before that,
    /// handlers that still run are cancelled; what is left is for leaving the group.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// When to try a message again. See [`RetryPolicy`] for the default.
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.retries = policy;
        self
    }

    /// Writes the dead letters of all topics to this one. The default is a topic for each, `TOPIC.dlq`.
    pub fn dead_letters_to(mut self, topic: impl Into<String>) -> Self {
        self.dead_letters = DeadLetters::To(topic.into());
        self
    }

    /// Writes no dead letters: a message that cannot be handled is logged and skipped.
    pub fn without_dead_letters(mut self) -> Self {
        self.dead_letters = DeadLetters::Off;
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
        let config = kafka::settings(&self.config)?;
        let instrumentation = self
            .instrumentation
            .unwrap_or_else(|| Instrumentation::new(&config));
        let topic = match self.dead_letters {
            DeadLetters::Off => None,
            DeadLetters::OfEachTopic => Some(None),
            DeadLetters::To(topic) => Some(Some(topic)),
        };
        let mut producer = settings::connection(&config);
        producer
            .set("message.max.bytes", dead_letter::MAX_BYTES.to_string())
            // A topic that does not exist is reported as that, before the message times out.
            .set("topic.metadata.propagation.max.ms", "10000");
        let letters = topic.map(|topic| {
            let producer = settings::producer(&producer, &instrumentation)?;
            Ok::<_, Error>(Letters::new(producer, topic))
        });
        let limits = Limits {
            handlers: self.concurrency.get(),
            messages: 2 * self.concurrency.get(),
            bytes: self.max_bytes,
            revoke: REVOKE,
            drain: self.shutdown_timeout.saturating_sub(CANCELLATION + LEAVE),
        };
        let has_letters = letters.is_some();
        let core = Core::new(limits, self.retries, has_letters, rand::random());
        Ok(Consumer {
            config,
            topics: self.topics,
            leave: LEAVE,
            instrumentation,
            letters: letters.transpose()?,
            shared: Arc::new(Shared {
                core: Mutex::new(core),
                is_member: AtomicBool::new(false),
            }),
        })
    }
}

impl Consumer {
    /// A consumer of `topic`, of the group in `config` (`group.id`).
    pub fn builder(config: &ClientConfig, topic: impl Into<String>) -> ConsumerBuilder {
        ConsumerBuilder {
            config: config.clone(),
            topics: vec![topic.into()],
            concurrency: NonZeroUsize::new(256).unwrap_or(NonZeroUsize::MIN),
            max_bytes: 64 * 1024 * 1024,
            shutdown_timeout: Duration::from_secs(8),
            retries: RetryPolicy::default(),
            dead_letters: DeadLetters::OfEachTopic,
            instrumentation: None,
        }
    }

    /// What a readiness check needs to know, now and later.
    #[must_use]
    pub fn membership(&self) -> Membership {
        Membership(Arc::clone(&self.shared))
    }

    /// Handles messages until `shutdown` is cancelled. Each message is retried or dead-lettered as its failures demand.
    /// Then handlers that run may finish, within the [time](ConsumerBuilder::shutdown_timeout) for the end, and the
    /// consumer leaves its group. Dropping the future cancels all handlers and leaves the group too.
    ///
    /// # Errors
    /// librdkafka cannot go on: the program should end and be started again.
    pub async fn run<H: Handler>(
        self,
        handler: H,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let run = Run {
            kafka: Kafka::new(&self.config, &topics)?,
            shared: self.shared,
            handler: Arc::new(handler),
            instrumentation: self.instrumentation,
            letters: self.letters,
            leave: self.leave,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            contexts: HashMap::new(),
            hashes: RandomState::new(),
            logged: HashMap::new(),
        };
        run.run(shutdown).await
    }
}

// Without the librdkafka settings: one of them may be a password or a private key.
impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut consumer = f.debug_struct("Consumer");
        consumer
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut builder = f.debug_struct("ConsumerBuilder");
        builder
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}
