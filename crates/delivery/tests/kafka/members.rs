//! Members of a group: rebalances, standby, and membership while handlers are slow.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::common::{Kafka, NOT_WHEN_FULL, Running, Seen, text, until};
use delivery::Handler;
use messaging::{FutureRecord, Message, OwnedMessage};
use tokio::sync::Notify;

#[tokio::test]
async fn a_standby_member_is_a_member_and_does_not_stand_still() {
    let kafka = Kafka::with_topic("standby", 1);
    let handler = |_message: OwnedMessage| async { Ok(()) };
    let members = [kafka.consume(handler), kafka.consume(handler)];
    let are = |partitions: usize| {
        let of = members.iter().map(|member| member.membership.partitions());
        members.iter().all(|member| member.membership.is_member())
            && of.sum::<usize>() == partitions
    };
    until("both are members", || are(1)).await;
    kafka.send(0, "k", "v").await;
    for member in members {
        assert_eq!(member.membership.standstills(), Vec::<String>::new());
        member.stop().await;
    }
}

/// The only handler hangs for longer than `max.poll.interval.ms`. Without statistics nothing but the loop's own
/// heartbeat makes it poll.
#[tokio::test]
async fn polling_goes_on_while_all_handlers_hang() {
    let kafka = Kafka::with_topic("hangs.long", 1);
    let longest = Duration::from_secs(6);
    let settings = [
        ("max.poll.interval.ms", "6000"),
        ("session.timeout.ms", "5000"),
        ("statistics.interval.ms", "0"),
    ];
    let (seen, go_on) = (Seen::default(), Arc::new(Notify::new()));
    let builder = kafka.builder(&settings).concurrency(NonZeroUsize::MIN);
    let consumer = Running::start(builder, {
        let (seen, go_on) = (seen.clone(), Arc::clone(&go_on));
        move |message: OwnedMessage| {
            let (seen, go_on) = (seen.clone(), Arc::clone(&go_on));
            async move {
                seen.push(&message);
                go_on.notified().await;
                Ok(())
            }
        }
    });
    kafka.send(0, "k", "v").await;
    until("it hangs", || seen.all().len() == 1).await;
    tokio::time::sleep(2 * longest).await;
    assert_eq!(consumer.membership.partitions(), 1);
    go_on.notify_one();
    consumer.stop().await;
    assert_eq!(seen.all(), ["v"], "it was handled once");
    assert_eq!(kafka.committed(0), Some(1));
}

const KEYS: usize = 12;
const OF_EACH: usize = 12;
const PARTITIONS: i32 = 4;

fn partition_of(key: &str) -> i32 {
    key.parse::<i32>().unwrap() % PARTITIONS
}

/// What the handlers of all members do, by key.
#[derive(Default)]
struct Log {
    running: BTreeSet<String>,
    done: BTreeMap<String, BTreeSet<usize>>,
    cancelled: usize,
    complaints: Vec<String>,
}

/// One handler at work. Dropped before it is done, it was cancelled.
struct Working {
    log: Arc<Mutex<Log>>,
    key: String,
    number: usize,
    is_done: bool,
}

impl Working {
    fn start(log: &Arc<Mutex<Log>>, message: &OwnedMessage) -> Self {
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let number = text(message).parse().unwrap();
        let mut seen = log.lock().unwrap();
        let done = seen.done.entry(key.clone()).or_default();
        let missing = (0..number).find(|earlier| !done.contains(earlier));
        if let Some(missing) = missing {
            let complaint = format!("{key}: {number} starts before {missing} is done");
            seen.complaints.push(complaint);
        }
        if !seen.running.insert(key.clone()) {
            let complaint = format!("{key}: {number} starts while another one runs");
            seen.complaints.push(complaint);
        }
        Self {
            log: Arc::clone(log),
            key,
            number,
            is_done: false,
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut log = self.log.lock().unwrap();
        log.running.remove(&self.key);
        if self.is_done {
            let done = log.done.get_mut(&self.key).unwrap();
            done.insert(self.number);
        } else {
            log.cancelled += 1;
        }
    }
}

/// Takes some milliseconds for each message; hangs with one message of each partition until it was cancelled once.
fn slow(log: &Arc<Mutex<Log>>) -> impl Handler {
    let log = Arc::clone(log);
    move |message: OwnedMessage| {
        let log = Arc::clone(&log);
        async move {
            let mut working = Working::start(&log, &message);
            let hangs = working.number == 4 && log.lock().unwrap().cancelled == 0;
            if hangs {
                std::future::pending::<()>().await;
            }
            let pause = 20 + 30 * (working.number as u64 % 5);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            working.is_done = true;
            Ok(())
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_and_order_by_key_holds_through_rebalances() {
    let kafka = Kafka::with_topic("rebalances", PARTITIONS);
    let log = Arc::new(Mutex::new(Log::default()));
    let producer = kafka.producer();
    let send = async |numbers: Range<usize>| {
        for number in numbers {
            for key in 0..KEYS {
                let (key, payload) = (key.to_string(), number.to_string());
                let record = FutureRecord::to(kafka.topic).key(&key).payload(&payload);
                let record = record.partition(partition_of(&key));
                producer.send(record, NOT_WHEN_FULL).await.unwrap();
            }
        }
    };
    // The broker in this process waits for a member for one second less than its session lasts.
    let session = [
        ("session.timeout.ms", "3000"),
        ("heartbeat.interval.ms", "500"),
    ];
    let join = || Running::start(kafka.builder(&session), slow(&log));
    let mut member = join();
    send(0..6).await;
    until("handlers hang", || {
        log.lock().unwrap().running.len() == KEYS
    })
    .await;
    // Each round one joins, then the older one stops: two rebalances with handlers at work.
    for round in 0..3 {
        let other = join();
        send(6 + 2 * round..8 + 2 * round).await;
        until("the other has partitions", || {
            other.membership.partitions() > 0
        })
        .await;
        member.stop().await;
        member = other;
    }
    until("all are done", || {
        let log = log.lock().unwrap();
        let done: usize = log.done.values().map(BTreeSet::len).sum();
        done == KEYS * OF_EACH
    })
    .await;
    // Not after the end: the broker in this process refuses commits while a member that left is waited for.
    let of_partition = (KEYS / PARTITIONS as usize * OF_EACH) as i64;
    until("all is committed", || {
        (0..PARTITIONS).all(|partition| kafka.committed(partition) == Some(of_partition))
    })
    .await;
    member.stop().await;
    let log = log.lock().unwrap();
    assert_eq!(log.complaints, Vec::<String>::new());
    assert!(log.cancelled > 0, "handlers that hang are cancelled");
    assert!(log.running.is_empty());
}
