//! Where events go: Apache Kafka, or librdkafka's imitation of it.
//!
//! The imitation lives in this process: it needs no Java and starts at once. But it forgets all when
//! it ends, keeps 5 MiB a partition and drops the oldest without a word, and has no transactions. So it is
//! never chosen for anybody; who wants it says so.

use std::{sync::mpsc, thread};

use anyhow::Context;
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

use crate::kafka::Kafka;

/// Where events go.
#[derive(Debug)]
pub enum Broker {
    /// Apache Kafka.
    Kafka(Box<Kafka>),
    /// librdkafka's imitation.
    Memory(Imitation),
}

/// librdkafka's imitation; ends when this is dropped.
///
/// It must not leave the thread that made it. So it has one to itself, which waits for the end of a
/// channel that only we hold open.
#[derive(Debug)]
pub struct Imitation {
    brokers: String,
    _open: mpsc::SyncSender<()>,
}

impl Broker {
    /// Starts the imitation, with these topics of so many partitions: clients can't make any there.
    ///
    /// # Errors
    /// librdkafka can't.
    pub fn memory(topics: &[(&str, i32)]) -> anyhow::Result<Self> {
        let topics = topics
            .iter()
            .map(|(name, partitions)| ((*name).to_owned(), *partitions));
        let topics: Vec<_> = topics.collect();
        let (started, result) = mpsc::sync_channel(1);
        let (open, ended) = mpsc::sync_channel(0);
        thread::Builder::new()
            .name("broker in memory".to_owned())
            .spawn(move || {
                let cluster = imitate(&topics);
                let brokers = cluster.as_ref().map(MockCluster::bootstrap_servers);
                // Whoever waits for this has failed if it is gone; then this ends too.
                let _ = started.send(brokers.map_err(|error| anyhow::anyhow!("{error:#}")));
                let _: Result<(), _> = ended.recv();
            })
            .context("there is no thread for the broker in memory")?;
        let brokers = result.recv().context("the broker in memory broke down")??;
        Ok(Self::Memory(Imitation {
            brokers,
            _open: open,
        }))
    }

    /// What clients are given to start from.
    #[must_use]
    pub fn brokers(&self) -> String {
        match self {
            Self::Kafka(kafka) => kafka.brokers(),
            Self::Memory(imitation) => imitation.brokers.clone(),
        }
    }
}

fn imitate(
    topics: &[(String, i32)],
) -> anyhow::Result<MockCluster<'static, DefaultProducerContext>> {
    let cluster = MockCluster::new(1).context("librdkafka's broker cannot be started")?;
    for (topic, partitions) in topics {
        let created = cluster.create_topic(topic, *partitions, 1);
        created.with_context(|| format!("the topic {topic} cannot be made"))?;
    }
    Ok(cluster)
}
