//! At least once, in order by key, and none held up by another: what stands behind the consumer.
//!
//! The guarantee: a message's offset is stored only when the message and every one received before
//! it in its partition are done, which is to say handled, or kept as a dead letter. So a crash makes
//! messages come again, never go missing.
//!
//! Its parts, each in a file of its own:
//! - [`offsets`]: which messages of a partition are done, and how far that makes a run without gaps;
//! - [`ledger`]: the same for all partitions that are ours at the moment, shared by the other two;
//! - [`poll`]: a thread that polls librdkafka, whatever else happens, so that the group never takes
//!   us for dead; it pauses partitions when enough is in hand;
//! - [`lanes`]: the handling, many messages at once, those of one key one after the other;
//! - [`attempts`]: what becomes of a message whose handling fails;
//! - [`waiting`] and [`membership`]: how all this looks from outside.

mod attempts;
mod lanes;
mod ledger;
mod membership;
mod offsets;
mod poll;
mod waiting;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    ConsumerConfig, Error, Handler, Producer, ProducerConfig, consumer::Attempt, dead_letter,
};
use attempts::Attempts;
use ledger::Ledger;
use waiting::Waiting;

pub use membership::Membership;

/// A consumer's machinery, ready to run.
#[derive(Debug)]
pub(crate) struct Delivery {
    ledger: Arc<Ledger>,
    poller: poll::Poller,
    messages: mpsc::Receiver<Vec<lanes::Taken>>,
    concurrency: usize,
    dead_letters: Producer,
    waiting: Waiting,
}

impl Delivery {
    pub(crate) fn new(config: &ConsumerConfig) -> Result<Self, Error> {
        // Twice as many in hand as are handled at once, so that handling never waits for polling.
        let capacity = 2 * config.concurrency;
        let ledger = Arc::new(Ledger::new(&config.topic, capacity));
        let (sender, messages) = mpsc::channel(capacity);
        let mut dead_letters = ProducerConfig::new(&config.brokers, &config.client_id);
        dead_letters.max_message_bytes = Some(dead_letter::MAX_BYTES);
        Ok(Self {
            poller: poll::Poller::new(config, Arc::clone(&ledger), sender)?,
            ledger,
            messages,
            concurrency: config.concurrency,
            dead_letters: Producer::new(&dead_letters)?,
            waiting: Waiting::default(),
        })
    }

    pub(crate) fn membership(&self) -> Membership {
        Membership::new(Arc::clone(&self.ledger), self.waiting.clone())
    }

    pub(crate) async fn run<H: Handler>(
        self,
        attempt: Attempt<H>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let attempts = Attempts {
            attempt,
            dead_letters: self.dead_letters,
            waiting: self.waiting,
        };
        let polling = self.poller.start(shutdown)?;
        // Ends when the poller, which holds the other end of the channel, has ended.
        lanes::run(self.messages, attempts, self.ledger, self.concurrency).await;
        polling.await
    }
}
