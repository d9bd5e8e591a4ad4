//! The client of the broker: a queue for each assigned partition, and a record of what the group decided.
//!
//! Three choices make the loop around it simple:
//! - *Callbacks only record.* librdkafka calls back from within `poll` when the group takes partitions away. Waiting for
//!   handlers there would stop everything else, so the callback writes the decision down, and the loop unassigns when
//!   the handlers are done. The group waits for that as long as the client polls.
//! - *A queue for each partition.* A partition from which no more messages are wanted is not polled, and librdkafka
//!   stops fetching it when its queue is full. Pausing it instead would throw away what was fetched ahead.
//! - *Nothing blocks.* All polls have a timeout of zero; librdkafka says by a callback when a queue has something.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{
        BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, RebalanceProtocol,
        base_consumer::PartitionQueue,
    },
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};
use tokio::sync::{Notify, oneshot};
use tracing::{debug, warn};

use crate::{
    Error, Logging,
    core::Place,
    settings::{self, Required},
};

const NOW: Duration = Duration::ZERO;
/// How many callbacks are served in one go. What is left is served a second later.
const CALLBACKS: usize = 16;

const DEFAULTS: [(&str, &str); 9] = [
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
    // How soon librdkafka fetches again after that bound was reached; its default is a second.
    ("fetch.queue.backoff.ms", "5"),
    // Says how far the broker's log goes, which is how a standstill is noticed.
    ("statistics.interval.ms", "2000"),
];
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
    let mut defaults = [&settings::COMMON[..], &DEFAULTS[..]].concat();
    defaults.retain(|(name, _)| !(brokers_assign && CLASSIC_PROTOCOL_ONLY.contains(name)));
    settings::complete(yours, &defaults, &REQUIRED)
}

/// What the group decided.
#[derive(Debug)]
pub(crate) enum Decision {
    Assigned(Vec<Place>),
    Revoked { places: Vec<Place>, lost: bool },
}

/// The consumer of the broker. Dropping it leaves the group, on a thread of its own.
pub(crate) struct Kafka {
    /// `None` once it is being closed.
    consumer: Option<Arc<BaseConsumer<Context>>>,
    queues: BTreeMap<Place, PartitionQueue<Context>>,
    recorded: Arc<Recorded>,
}

/// What callbacks have recorded, for the loop.
#[derive(Debug, Default)]
struct Recorded {
    woken: Notify,
    seen: Mutex<Seen>,
    /// The consumer is being closed: nobody looks at what is recorded.
    is_closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Seen {
    decisions: Vec<Decision>,
    statistics: Option<Statistics>,
    /// Partitions whose queue has something.
    filled: BTreeSet<Place>,
    failed_commits: BTreeSet<Place>,
}

impl Kafka {
    /// Makes a client from settings that were completed before, and subscribes to the topics.
    pub(crate) fn new(config: &ClientConfig, topics: &[&str]) -> Result<Self, Error> {
        let recorded = Arc::new(Recorded::default());
        let context = Context(Arc::clone(&recorded));
        let mut consumer: BaseConsumer<Context> =
            BaseConsumer::from_config_and_context(config, context)?;
        let waking = Arc::clone(&recorded);
        consumer.set_nonempty_callback(move || waking.woken.notify_one());
        consumer.subscribe(topics)?;
        Ok(Self {
            consumer: Some(Arc::new(consumer)),
            queues: BTreeMap::new(),
            recorded,
        })
    }

    /// Waits until a callback has recorded something, or a queue has something.
    pub(crate) async fn woken(&self) {
        self.recorded.woken.notified().await;
    }

    /// Serves callbacks; returns errors that concern the whole client.
    pub(crate) fn serve(&self) -> Vec<KafkaError> {
        let polls = self.consumer.iter().flat_map(|consumer| {
            // rdkafka does not say whether a poll has served a callback or found nothing.
            (0..CALLBACKS).filter_map(|_| consumer.poll(NOW))
        });
        // Messages come through the queues of their partitions.
        polls.filter_map(Result::err).collect()
    }

    pub(crate) fn decisions(&self) -> Vec<Decision> {
        mem::take(&mut self.recorded.lock().decisions)
    }

    pub(crate) fn statistics(&self) -> Option<Statistics> {
        self.recorded.lock().statistics.take()
    }

    /// Partitions whose offset was not committed.
    pub(crate) fn failed_commits(&self) -> BTreeSet<Place> {
        mem::take(&mut self.recorded.lock().failed_commits)
    }

    /// Makes the next [`woken`](Self::woken) end at once.
    pub(crate) fn wake(&self) {
        self.recorded.woken.notify_one();
    }

    /// Partitions whose queue has something since the last call. Poll each until it has nothing, or
    /// [put it back](Self::put_back): librdkafka calls back only when an empty queue is filled.
    pub(crate) fn filled(&self) -> BTreeSet<Place> {
        mem::take(&mut self.recorded.lock().filled)
    }

    /// Partitions whose queue was not emptied.
    pub(crate) fn put_back(&self, places: impl IntoIterator<Item = Place>) {
        self.recorded.lock().filled.extend(places);
    }

    /// Has all assigned partitions looked at, in case a callback was missed.
    pub(crate) fn sweep(&self) {
        self.put_back(self.queues.keys().cloned());
    }

    /// The next message of a partition, or an error that concerns it.
    pub(crate) fn poll(&self, place: &Place) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.queues.get(place)?.poll(NOW)
    }

    /// Starts fetching from these partitions.
    pub(crate) fn assign(&mut self, places: &[Place]) -> KafkaResult<()> {
        let Some(consumer) = &self.consumer else {
            return Ok(());
        };
        for place in places {
            // Before fetching starts, so that no message gets into the common queue.
            let queue = consumer.split_partition_queue(&place.topic, place.partition);
            let Some(mut queue) = queue else {
                warn!(partition = ?place, "librdkafka knows no such partition");
                continue;
            };
            let (recorded, filled) = (Arc::clone(&self.recorded), place.clone());
            queue.set_nonempty_callback(move || {
                recorded.lock().filled.insert(filled.clone());
                recorded.woken.notify_one();
            });
            self.queues.insert(place.clone(), queue);
        }
        let list = list(places);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list),
            _ => consumer.assign(&list),
        }
    }

    /// Gives partitions up. librdkafka commits their stored offsets.
    pub(crate) fn unassign(&mut self, places: &[Place]) -> KafkaResult<()> {
        for place in places {
            self.queues.remove(place);
            self.recorded.lock().filled.remove(place);
        }
        let Some(consumer) = &self.consumer else {
            return Ok(());
        };
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(&list(places)),
            _ => consumer.unassign(),
        }
    }

    /// Stores offsets, which librdkafka commits in time.
    pub(crate) fn store(&self, offsets: &BTreeMap<Place, i64>) -> KafkaResult<()> {
        match &self.consumer {
            Some(consumer) if !offsets.is_empty() => {
                consumer.store_offsets(&with_offsets(offsets)?)
            }
            _ => Ok(()),
        }
    }

    /// Commits offsets, whatever was committed before.
    pub(crate) fn commit(&self, offsets: &BTreeMap<Place, i64>) -> KafkaResult<()> {
        match &self.consumer {
            Some(consumer) if !offsets.is_empty() => {
                consumer.commit(&with_offsets(offsets)?, CommitMode::Async)
            }
            _ => Ok(()),
        }
    }

    /// Leaves the group; ends when that is done. It may take as long as the coordinator does.
    pub(crate) fn leave(&mut self) -> oneshot::Receiver<()> {
        let (done, left) = oneshot::channel();
        self.queues.clear();
        let consumer = self.consumer.take();
        self.recorded.is_closing.store(true, SeqCst);
        let close = move || {
            // rdkafka closes a consumer when it is dropped: it polls until the group is left, without bound.
            drop(consumer);
            let _ = done.send(());
        };
        if let Err(error) = thread::Builder::new()
            .name("kafka-leave".to_owned())
            .spawn(close)
        {
            warn!(%error, "no thread to leave the consumer group on; its session has to expire");
        }
        left
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if self.consumer.is_some() {
            drop(self.leave());
        }
    }
}

/// What librdkafka calls back.
struct Context(Arc<Recorded>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The loop logs what matters: rdkafka hands it the same error.
        debug!(target: "librdkafka", %error, "{reason}");
    }

    fn stats(&self, statistics: Statistics) {
        self.0.lock().statistics = Some(statistics);
        self.0.woken.notify_one();
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        decision: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if self.0.is_closing.load(SeqCst) {
            let unassigned = match consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
                _ => consumer.unassign(),
            };
            if let Err(error) = unassigned {
                debug!(%error, "partitions were not unassigned while leaving");
            }
            return;
        }
        let places = places(list);
        let decision = match decision {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Decision::Assigned(places),
            _ => Decision::Revoked {
                places,
                lost: consumer.assignment_lost(),
            },
        };
        self.0.lock().decisions.push(decision);
        self.0.woken.notify_one();
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Error(error) = rebalance {
            warn!(%error, "the group could not be rebalanced");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, list: &TopicPartitionList) {
        match result {
            // Nothing was stored since the last commit.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                warn!(%error, "offsets were not committed; the commit is repeated");
                self.0.lock().failed_commits.extend(places(list));
            }
        }
    }
}

impl Recorded {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while the lock is held.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(places: &[Place]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for place in places {
        list.add_partition(&place.topic, place.partition);
    }
    list
}

fn with_offsets(offsets: &BTreeMap<Place, i64>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (place, offset) in offsets {
        list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

fn places(list: &TopicPartitionList) -> Vec<Place> {
    let elements = list.elements();
    let place = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        Place::new(element.topic().into(), element.partition())
    };
    elements.iter().map(place).collect()
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("queues", &self.queues.keys())
            .finish_non_exhaustive()
    }
}
