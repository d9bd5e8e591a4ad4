//! The messages that the producer has and the broker has not acknowledged: one of each key.

use std::{collections::HashMap, collections::HashSet, future::Future, pin::Pin, time::Duration};

use futures_util::{FutureExt as _, StreamExt, stream::FuturesUnordered};
use messaging::{FutureRecord, Producer};
use opentelemetry::{Context, Key, KeyValue, global, trace::FutureExt as _};
use rdkafka::{
    ClientContext,
    message::{Header, OwnedHeaders},
    producer::Producer as _,
};
use tokio::time::sleep;
use tracing::warn;

use crate::{Error, session::Row};

/// How many messages may be in flight.
const MOST: usize = 1_000;
/// A message that does not fit into librdkafka's queue fails at once, and its row waits.
const NOT_WHEN_FULL: Duration = Duration::ZERO;
/// How long a message waits after a failed send. Its key stays in flight, so that no later message overtakes it.
const PAUSE: Duration = Duration::from_secs(1);

/// The sends under way. A second message of a key is sent only after the first: if both were in flight and the first
/// failed, the second would overtake it.
pub(crate) struct InFlight<'p, C: ClientContext + 'static> {
    producer: &'p Producer<C>,
    wait_time: &'p Key,
    keys: HashSet<String>,
    sends: FuturesUnordered<Pin<Box<dyn Future<Output = Sent> + Send + 'p>>>,
}

struct Sent {
    id: i64,
    key: String,
    acknowledged: bool,
}

impl<'p, C: ClientContext + 'static> InFlight<'p, C> {
    pub(crate) fn new(producer: &'p Producer<C>, wait_time: &'p Key) -> Self {
        Self {
            producer,
            wait_time,
            keys: HashSet::new(),
            sends: FuturesUnordered::new(),
        }
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many more messages may be sent.
    pub(crate) fn room(&self) -> usize {
        MOST - self.keys.len()
    }

    /// Sends a row whose key is not in flight, in the next call of [`acknowledged`](Self::acknowledged).
    pub(crate) fn send(&mut self, row: Row) {
        self.keys.insert(row.key.clone());
        self.sends
            .push(Box::pin(send(self.producer, row, self.wait_time)));
    }

    /// Waits until at least one send is done. Returns the ids of those that the broker has acknowledged. Pending for
    /// as long as nothing is in flight. Cancel-safe: nothing is awaited once the first is done.
    pub(crate) async fn acknowledged(&mut self) -> Vec<i64> {
        let Some(first) = self.sends.next().await else {
            return std::future::pending().await;
        };
        let mut acknowledged = Vec::new();
        let mut next = Some(first);
        while let Some(sent) = next {
            self.keys.remove(&sent.key);
            acknowledged.extend(sent.acknowledged.then_some(sent.id));
            next = self.sends.next().now_or_never().flatten();
        }
        acknowledged
    }

    /// An error if the producer can never send again.
    pub(crate) fn check_producer(&self) -> Result<(), Error> {
        match self.producer.client().client().fatal_error() {
            Some((_, reason)) => Err(Error::ProducerFailed(reason)),
            None => Ok(()),
        }
    }
}

/// Sends one row, in the trace in which it was appended.
async fn send<C: ClientContext + 'static>(
    producer: &Producer<C>,
    row: Row,
    wait_time: &Key,
) -> Sent {
    let headers: HashMap<String, String> = serde_json::from_str(&row.headers).unwrap_or_default();
    let context = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &headers)
    });
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
    let record = FutureRecord::to(&row.topic)
        .key(&row.key)
        .payload(&row.payload)
        .headers(headers);
    let waited = [KeyValue::new(wait_time.clone(), row.waited.max(0.0))];
    let sent = producer
        .send_with(record, NOT_WHEN_FULL, waited)
        .with_context(context)
        .await;
    if let Err(error) = &sent {
        warn!(%error, topic = row.topic, key = row.key, "a message was not sent; its row is sent again");
        sleep(PAUSE).await;
    }
    Sent {
        id: row.id,
        key: row.key,
        acknowledged: sent.is_ok(),
    }
}
