//! At least once, in order by key, and none held up by another: what stands behind the consumer.
//!
//! The guarantee: a message's offset is stored only when the message and every one received before
//! it in its partition are done. So a crash makes messages come again, never go missing.
//!
//! Four parts, each in a file of its own:
//! - [`offsets`]: which messages of a partition are done, and how far that makes a run without gaps;
//! - [`ledger`]: the same for all partitions that are ours at the moment, shared by the other two;
//! - [`poll`]: a thread that polls librdkafka, whatever else happens, so that the group never takes
//!   us for dead; it pauses partitions when enough is in hand;
//! - [`lanes`]: the handling, many messages at once, those of one key one after the other.

mod attempts;
mod lanes;
mod ledger;
mod offsets;
mod poll;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{ConsumerConfig, Error, Handler, consumer::Attempt};

pub(crate) use ledger::Ledger;

/// A consumer's machinery, ready to run.
#[derive(Debug)]
pub(crate) struct Delivery {
    ledger: Arc<Ledger>,
    poller: poll::Poller,
    messages: mpsc::Receiver<lanes::Taken>,
    concurrency: usize,
}

impl Delivery {
    pub(crate) fn new(config: &ConsumerConfig) -> Result<Self, Error> {
        let ledger = Arc::new(Ledger::new(&config.topic, 2 * config.concurrency));
        // The ledger lets the poller take no more than fits, so sending never waits.
        let (sender, messages) = mpsc::channel(2 * config.concurrency + 1);
        Ok(Self {
            poller: poll::Poller::new(config, Arc::clone(&ledger), sender)?,
            ledger,
            messages,
            concurrency: config.concurrency,
        })
    }

    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    pub(crate) async fn run<H: Handler>(
        self,
        attempt: Attempt<H>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let polling = self.poller.start(shutdown)?;
        // Ends when the poller, which holds the other end of the channel, has ended.
        lanes::run(self.messages, attempt, &self.ledger, self.concurrency).await;
        polling.await
    }
}
