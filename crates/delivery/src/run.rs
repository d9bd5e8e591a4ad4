//! The loop around the core: it takes messages, runs handlers, and tells the core what happened.
//!
//! There is one kind of wait, the `select!` in [`Run::run`]: for a handler that ends, for librdkafka, for the next time
//! that the core named, and for the end of the program. All decisions are the core's.
//!
//! Each handler runs in a task of a `JoinSet`. However such a task ends, by itself, by a panic or because it was
//! aborted, the set says so, and so the core gets the slot, the lane and the offset back. When the future of
//! [`Run::run`] is dropped, the set aborts all handlers, and the client leaves the group.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    mem,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use messaging::{Instrumentation, MessageHeaders};
use opentelemetry::{Context, context::FutureExt as _};
use rdkafka::{
    Statistics,
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Message, OwnedMessage},
    types::RDKafkaErrorCode,
};
use tokio::{
    task::{self, AbortHandle, JoinError, JoinSet},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    Error, Failure, Handler,
    core::{Action, Core, End, Id, Place, Received},
    dead_letter,
    kafka::{Decision, Kafka},
    letters::Letters,
    membership::Shared,
    now,
};

/// librdkafka is polled at least this often, so that the group does not take this member for dead.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How many messages of one partition are taken before the others have their turn.
const BURST: usize = 64;
/// How often the same error is logged.
const ERROR_AGAIN: Duration = Duration::from_secs(60);

type Shareable = Arc<OwnedMessage>;

/// A consumer at work.
pub(crate) struct Run<H> {
    pub(crate) shared: Arc<Shared>,
    /// Dropped before `kafka`, so that no handler runs any more when the group is left.
    pub(crate) tasks: JoinSet<End>,
    pub(crate) kafka: Kafka,
    pub(crate) handler: Arc<H>,
    pub(crate) instrumentation: Instrumentation,
    pub(crate) letters: Option<Letters>,
    /// How long leaving the group may take at the end.
    pub(crate) leave: Duration,
    pub(crate) running: HashMap<task::Id, Running>,
    /// The span of the last try of each message, in which its dead letter is sent.
    pub(crate) contexts: HashMap<Id, Context>,
    pub(crate) hashes: RandomState,
    pub(crate) logged: HashMap<String, Instant>,
}

/// A handler, or the writing of a letter.
pub(crate) struct Running {
    id: Id,
    abort: AbortHandle,
}

impl<H: Handler> Run<H> {
    /// Runs until `shutdown` is cancelled and everything is done or cancelled.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut stopping = false;
        loop {
            self.serve()?;
            self.take();
            if self.perform() {
                break;
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    self.core().stop(now());
                }
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.ended(ended);
                    while let Some(ended) = self.tasks.try_join_next_with_id() {
                        self.ended(ended);
                    }
                }
                () = self.kafka.woken() => {}
                () = sleep_until(wake.into()) => {
                    self.kafka.sweep();
                    self.core().repeat_commits();
                }
            }
            self.core().tick(now());
        }
        info!("leaving the consumer group");
        let left = self.kafka.leave();
        if tokio::time::timeout(self.leave, left).await.is_err() {
            warn!(
                "the group's coordinator does not answer; the session of this member has to expire"
            );
        }
        Ok(())
    }

    /// Serves librdkafka's callbacks and tells the core what they recorded.
    fn serve(&mut self) -> Result<(), Error> {
        for error in self.kafka.serve() {
            self.survive(error)?;
        }
        for decision in self.kafka.decisions() {
            self.shared.is_member.store(true, Relaxed);
            match decision {
                Decision::Assigned(places) => self.core().assigned(places, now()),
                Decision::Revoked { places, lost } => {
                    info!(partitions = ?places, lost, "partitions are revoked");
                    self.core().revoked(places, lost, now());
                }
            }
        }
        for place in self.kafka.failed_commits() {
            self.core().commit_failed(&place);
        }
        if let Some(statistics) = self.kafka.statistics() {
            self.look_at(&statistics);
        }
        Ok(())
    }

    /// Takes messages from the partitions that have some, as many as the core wants.
    fn take(&mut self) {
        let mut left_over = Vec::new();
        for place in self.kafka.filled() {
            let mut taken = 0;
            loop {
                let is_wanted = self.core().wants(&place);
                if taken == BURST && is_wanted {
                    self.kafka.wake();
                }
                if taken == BURST || !is_wanted {
                    left_over.push(place);
                    break;
                }
                match self.kafka.poll(&place) {
                    None => break,
                    Some(Ok(message)) => {
                        let received = self.received(place.clone(), &message);
                        self.core().received(received, now());
                        taken += 1;
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => {}
                    Some(Err(error)) => self.hindered(&place, &error),
                }
            }
        }
        self.kafka.put_back(left_over);
    }

    fn received(&self, place: Place, message: &BorrowedMessage<'_>) -> Received<Shareable> {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        Received {
            place,
            offset: message.offset(),
            key: message.key().map(|key| self.hashes.hash_one(key)),
            bytes: length(message.key()) + length(message.payload()),
            tries_before: dead_letter::tries_before(&MessageHeaders::of(message)),
            message: Arc::new(message.detach()),
        }
    }

    /// Does what the core wants. True if it wants to leave.
    fn perform(&mut self) -> bool {
        let (mut store, mut commit) = (BTreeMap::new(), BTreeMap::new());
        let mut leave = false;
        loop {
            // Not in a `while let`: the lock would be held during the action.
            let Some(action) = self.core().next_action() else {
                break;
            };
            match action {
                Action::Handle {
                    id,
                    message,
                    retries,
                } => self.handle(id, message, retries),
                Action::WriteLetter {
                    id,
                    message,
                    failure,
                    tries,
                } => {
                    self.write_letter(id, message, failure, tries);
                }
                Action::Cancel(id) => self.cancel(id),
                Action::Store(place, offset) => drop(store.insert(place, offset)),
                Action::Commit(place, offset) => {
                    store.insert(place.clone(), offset);
                    commit.insert(place, offset);
                }
                Action::Assign(places) => {
                    info!(partitions = ?places, "partitions are assigned");
                    log("partitions were not assigned", self.kafka.assign(&places));
                }
                Action::Release(places) => {
                    self.store(&mut store, &mut commit);
                    log("partitions were not released", self.kafka.unassign(&places));
                    self.forget_contexts();
                }
                Action::Leave => leave = true,
            }
        }
        self.store(&mut store, &mut commit);
        leave
    }

    fn store(&self, store: &mut BTreeMap<Place, i64>, commit: &mut BTreeMap<Place, i64>) {
        let text = "offsets were not stored; their messages may come again";
        log(text, self.kafka.store(&mem::take(store)));
        log(text, self.kafka.commit(&mem::take(commit)));
    }

    /// Calls the handler in a task, inside a `process` span.
    fn handle(&mut self, id: Id, message: Shareable, retries: u32) {
        let span = {
            let headers = MessageHeaders::of(&*message);
            self.instrumentation
                .retry_span(&*message, &headers, retries)
        };
        self.contexts.insert(id, span.context().clone());
        let handler = Arc::clone(&self.handler);
        self.spawn(id, async move {
            let Err(failure) = span.enter(async { handler.handle(&message).await }).await else {
                return End::Handled;
            };
            span.fail(failure.error_type().to_owned(), failure.to_string());
            End::Failed(failure)
        });
    }

    fn write_letter(&mut self, id: Id, message: Shareable, failure: Failure, tries: u32) {
        let Some(letters) = self.letters.clone() else {
            return;
        };
        let context = self.contexts.get(&id).cloned().unwrap_or_default();
        let writing = async move { letters.write(&message, &failure, tries).await };
        self.spawn(id, writing.with_context(context));
    }

    fn spawn(&mut self, id: Id, work: impl Future<Output = End> + Send + 'static) {
        let abort = self.tasks.spawn(work);
        self.running.insert(abort.id(), Running { id, abort });
    }

    fn cancel(&self, id: Id) {
        let running = self.running.values().filter(|running| running.id == id);
        running.for_each(|running| running.abort.abort());
    }

    fn ended(&mut self, ended: Result<(task::Id, End), JoinError>) {
        let (task, end) = match ended {
            Ok((task, end)) => (task, end),
            Err(error) if error.is_cancelled() => (error.id(), End::Cancelled),
            Err(error) => (error.id(), End::Failed(Failure::panicked())),
        };
        let Some(Running { id, .. }) = self.running.remove(&task) else {
            return;
        };
        self.core().ended(id, end, now());
        if !self.core().is_in_hand(id) {
            self.contexts.remove(&id);
        }
    }

    /// Messages that waited for a retry are out of hand without an end of their own.
    fn forget_contexts(&mut self) {
        let mut contexts = mem::take(&mut self.contexts);
        contexts.retain(|id, _| self.core().is_in_hand(*id));
        self.contexts = contexts;
    }

    fn next_wake(&self) -> Instant {
        let heartbeat = now() + HEARTBEAT;
        let timer = self.core().next_timer();
        timer.map_or(heartbeat, |timer| timer.min(heartbeat))
    }

    /// An error of the client. librdkafka gets out of most of them by itself.
    fn survive(&mut self, error: KafkaError) -> Result<(), Error> {
        match error {
            KafkaError::MessageConsumptionFatal(_) => Err(error.into()),
            KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                debug!("the topic is not there yet");
                Ok(())
            }
            error => {
                self.log_now_and_then(format!("Kafka: {error}; librdkafka retries"));
                Ok(())
            }
        }
    }

    /// An error of one partition, which repeats itself for as long as it lasts.
    fn hindered(&mut self, place: &Place, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        let name = code.map_or_else(|| error.to_string(), |code| format!("{code:?}"));
        self.core().hindered(place, name.clone());
        let help = match code {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => "grant READ on the topic",
            Some(RDKafkaErrorCode::NotImplemented) => {
                "its compression is not built into librdkafka"
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => "create the topic",
            _ => "look up the code in librdkafka's documentation",
        };
        self.log_now_and_then(format!("{place:?} cannot be read: {name}; {help}"));
    }

    fn log_now_and_then(&mut self, line: String) {
        let now = now();
        self.logged
            .retain(|_, at| now.saturating_duration_since(*at) < ERROR_AGAIN);
        if let Entry::Vacant(new) = self.logged.entry(line) {
            warn!("{}", new.key());
            new.insert(now);
        }
    }

    /// Learns from librdkafka's statistics whether this is a member, and which partitions have unread messages.
    fn look_at(&self, statistics: &Statistics) {
        if let Some(group) = &statistics.cgrp {
            let has_partitions = self.core().assigned_count() > 0;
            let is_member = has_partitions || group.join_state == "steady";
            self.shared.is_member.store(is_member, Relaxed);
        }
        let mut core = self.core();
        for (name, topic) in &statistics.topics {
            for partition in topic.partitions.values() {
                let place = Place::new(name.as_str().into(), partition.partition);
                let read = partition.app_offset.max(partition.committed_offset);
                let first_unread = read.max(partition.lo_offset);
                // Control records of transactions are fetched, and never handed out.
                let is_fetched =
                    partition.next_offset >= partition.hi_offset && partition.fetchq_cnt == 0;
                let is_unread = partition.hi_offset > first_unread && !is_fetched;
                core.unread(&place, is_unread, now());
            }
        }
    }

    fn core(&self) -> MutexGuard<'_, Core<Shareable>> {
        // Nothing panics while the lock is held.
        self.shared
            .core
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(text: &str, result: KafkaResult<()>) {
    if let Err(error) = result {
        error!(%error, "{text}");
    }
}

#[cfg(test)]
mod tests;
