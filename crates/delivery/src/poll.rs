//! A thread that polls librdkafka, and does so whatever else happens.
//!
//! A consumer that does not poll for `max.poll.interval.ms` is thrown out of its group. So polling
//! never waits long for handling: when enough is in hand, and stays so, partitions are paused and
//! polled all the same. At first it does wait, since pausing is dear: what was fetched ahead is thrown
//! away, and librdkafka may take a second to fetch again.
//! It is a thread and no task because librdkafka calls back from within `poll` when the group takes
//! partitions away, and there we wait for what runs, which would block the async runtime.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
    message::{BorrowedMessage, Message},
    types::RDKafkaErrorCode,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    Error, Logging,
    lanes::Taken,
    ledger::{Flow, Ledger},
    settings::{self, Required},
};

/// How many messages are taken together, at most.
const BURST: usize = 64;
/// How long one poll waits for a message.
const POLL: Duration = Duration::from_millis(100);
/// How often offsets are stored: librdkafka commits them once in a second in any case.
const STORE_EVERY: Duration = Duration::from_millis(100);
/// The same while messages are held back, so that they go on soon after there is room.
const POLL_WHILE_PAUSED: Duration = Duration::from_millis(5);
/// How long room for another message is waited for before partitions are paused. Nothing else is
/// heard meanwhile, so it is short beside what rebalancing may take.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(500);
/// How long a rebalance waits for handlers that run.
const DRAIN_ON_REVOKE: Duration = Duration::from_secs(5);

const DEFAULTS: [(&str, &str); 7] = [
    ("auto.commit.interval.ms", "1000"),
    // A group without offsets starts with the first message, not with the next one.
    ("auto.offset.reset", "earliest"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // A member that died is noticed after 6 s, not after 45.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "2000"),
    // A topic that did not exist is noticed soon after it was created.
    ("topic.metadata.refresh.interval.ms", "1000"),
    // Bounds what librdkafka fetches ahead, for each partition, in KiB.
    ("queued.max.messages.kbytes", "4096"),
];
/// How soon librdkafka fetches again after that bound was reached; its default is a second.
const FETCH_AGAIN: (&str, &str) = ("fetch.queue.backoff.ms", "5");
/// Defaults that librdkafka refuses beside `group.protocol=consumer`, where the broker decides.
const CLASSIC_PROTOCOL_ONLY: [&str; 3] = [
    "partition.assignment.strategy",
    "session.timeout.ms",
    "heartbeat.interval.ms",
];

const REQUIRED: [Required; 2] = [
    Required {
        name: "enable.auto.offset.store",
        values: &["false"],
        reason: "an offset is stored when its message is done, not when it is received",
    },
    Required {
        name: "enable.auto.commit",
        values: &["true"],
        reason: "librdkafka commits the offsets that are stored",
    },
];

/// Your settings, completed and checked.
pub(crate) fn settings(yours: &ClientConfig) -> Result<ClientConfig, Error> {
    if yours.get("group.id").is_none_or(str::is_empty) {
        return Err(Error::Missing("group.id"));
    }
    let brokers_assign = yours.get("group.protocol") == Some("consumer");
    let mut defaults = settings::COMMON.to_vec();
    defaults.extend(DEFAULTS);
    defaults.push(FETCH_AGAIN);
    defaults.retain(|(name, _)| !(brokers_assign && CLASSIC_PROTOCOL_ONLY.contains(name)));
    settings::complete(yours, &defaults, &REQUIRED)
}

/// The consumer of the broker, before its thread has started.
pub(super) struct Poller {
    kafka: BaseConsumer<Context>,
    ledger: Arc<Ledger>,
    messages: mpsc::Sender<Vec<Taken>>,
    drain: Duration,
}

impl Poller {
    pub(super) fn new(
        config: &ClientConfig,
        ledger: Arc<Ledger>,
        messages: mpsc::Sender<Vec<Taken>>,
        drain: Duration,
    ) -> Result<Self, Error> {
        let context = Context {
            ledger: Arc::clone(&ledger),
        };
        Ok(Self {
            kafka: BaseConsumer::from_config_and_context(config, context)?,
            ledger,
            messages,
            drain,
        })
    }

    /// Starts the thread. What it returns ends with it.
    pub(super) fn start(
        self,
        shutdown: CancellationToken,
    ) -> Result<impl Future<Output = Result<(), Error>>, Error> {
        let (done, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || {
                let result = self.run(&shutdown);
                // Nobody waits any more: nobody is to be told.
                let _ = done.send(result);
            })
            .map_err(|error| Error::Thread(error.to_string()))?;
        Ok(async move {
            let broke_down = || Err(Error::Thread("it ended early".to_owned()));
            ended.await.unwrap_or_else(|_| broke_down())
        })
    }

    fn run(self, shutdown: &CancellationToken) -> Result<(), Error> {
        self.kafka.subscribe(&[self.ledger.topic()])?;
        let mut wait = POLL;
        let mut stored = Instant::now();
        while !shutdown.is_cancelled() {
            self.take_burst(wait)?;
            if stored.elapsed() >= STORE_EVERY {
                store_offsets(&self.kafka, &self.ledger);
                stored = Instant::now();
            }
            self.ledger.wait_for_room(WAIT_FOR_ROOM);
            wait = self.hold_back_or_go_on();
        }
        self.leave();
        Ok(())
    }

    /// Waits for a message, and takes with it those that have been fetched by then and for which there
    /// is room. The handling gets them together: to wake it for each would be dear beside all else that
    /// is done for a message here.
    fn take_burst(&self, wait: Duration) -> Result<(), Error> {
        let mut burst = Vec::new();
        let mut wait = wait;
        // Without room it is polled all the same: the group wants to hear of us.
        for _ in 0..self.ledger.room().clamp(1, BURST) {
            match self.kafka.poll(wait) {
                Some(Ok(message)) => burst.extend(self.take(&message)),
                Some(Err(error)) => survive(error)?,
                None => break,
            }
            wait = Duration::ZERO;
        }
        // The other side takes at once what comes, so this waits for nothing that could last.
        if !burst.is_empty() && self.messages.blocking_send(burst).is_err() {
            debug!("messages came when handling had ended; they will come again");
        }
        Ok(())
    }

    fn take(&self, message: &BorrowedMessage<'_>) -> Option<Taken> {
        let ticket = self.ledger.take(message.partition(), message.offset())?;
        let message = message.detach();
        Some(Taken { ticket, message })
    }

    /// Pauses and resumes partitions as the ledger wants it; says how long the next poll may wait.
    fn hold_back_or_go_on(&self) -> Duration {
        let flow = self.ledger.flow();
        if !flow.pause.is_empty() || !flow.resume.is_empty() {
            self.pause_and_resume(&flow);
        }
        if flow.held_back {
            POLL_WHILE_PAUSED
        } else {
            POLL
        }
    }

    fn pause_and_resume(&self, flow: &Flow) {
        let topic = self.ledger.topic();
        let changed = self
            .kafka
            .pause(&partition_list(topic, &flow.pause))
            .and_then(|()| self.kafka.resume(&partition_list(topic, &flow.resume)));
        if let Err(error) = changed {
            warn!(%error, "partitions could not be paused or resumed");
        }
    }

    /// Lets what runs finish, then leaves the group, which commits what is stored.
    fn leave(self) {
        self.ledger.drain(&self.ledger.partitions(), self.drain);
        store_offsets(&self.kafka, &self.ledger);
        info!("leaving the consumer group");
    }
}

/// Most errors are states that librdkafka gets out of by itself.
fn survive(error: KafkaError) -> Result<(), Error> {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Err(error.into()),
        KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownTopicOrPartition) => {
            debug!("the topic is not there yet");
            Ok(())
        }
        error => {
            warn!(%error, "consuming is hindered");
            Ok(())
        }
    }
}

fn store_offsets(kafka: &BaseConsumer<Context>, ledger: &Ledger) {
    let advanced = ledger.to_store();
    if advanced.is_empty() {
        return;
    }
    let mut list = TopicPartitionList::with_capacity(advanced.len());
    for (partition, next) in advanced {
        // Refused only for offsets that are no offsets; these come from the broker.
        if let Err(error) =
            list.add_partition_offset(ledger.topic(), partition, Offset::Offset(next))
        {
            error!(%error, partition, next, "an offset was refused");
        }
    }
    if let Err(error) = kafka.store_offsets(&list) {
        warn!(%error, "offsets were not stored; their messages may come again");
    }
}

fn partition_list(topic: &str, partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

/// What librdkafka calls back: its log, and the group's decisions.
struct Context {
    ledger: Arc<Ledger>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logging.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, kafka: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.ledger.assign(&numbers(list)),
            Rebalance::Revoke(list) => {
                let revoked = numbers(list);
                self.ledger.drain(&revoked, DRAIN_ON_REVOKE);
                store_offsets(kafka, &self.ledger);
                self.ledger.forget(&revoked);
                info!(partitions = ?revoked, "partitions were taken away");
            }
            Rebalance::Error(error) => warn!(%error, "the group could not be rebalanced"),
        }
    }

    fn post_rebalance(&self, kafka: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            // A partition that was paused when it was ours before may still be.
            if let Err(error) = kafka.resume(list) {
                warn!(%error, "partitions could not be resumed");
            }
            info!(partitions = ?numbers(list), "partitions were assigned");
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    list.elements()
        .iter()
        .map(|element| element.partition())
        .collect()
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}
