//! Where events go: Apache Kafka, or librdkafka's imitation of it.
//!
//! The imitation lives in this process: it needs no Java and starts at once. But it forgets all when
//! it ends, keeps 5 MiB a partition and drops the oldest without a word, and has no transactions. So it is
//! never chosen for anybody; who wants it says so.

use anyhow::Context;
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

use crate::kafka::Kafka;

/// Where events go.
pub enum Broker {
    /// Apache Kafka.
    Kafka(Box<Kafka>),
    /// librdkafka's imitation.
    Memory(MockCluster<'static, DefaultProducerContext>),
}

impl Broker {
    /// Starts the imitation, with these topics of so many partitions: clients can't make any there.
    ///
    /// # Errors
    /// librdkafka can't.
    pub fn memory(topics: &[(&str, i32)]) -> anyhow::Result<Self> {
        let cluster = MockCluster::new(1).context("librdkafka's broker cannot be started")?;
        for (topic, partitions) in topics {
            let created = cluster.create_topic(topic, *partitions, 1);
            created.with_context(|| format!("the topic {topic} cannot be made"))?;
        }
        Ok(Self::Memory(cluster))
    }

    /// What clients are given to start from.
    #[must_use]
    pub fn brokers(&self) -> String {
        match self {
            Self::Kafka(kafka) => kafka.brokers(),
            Self::Memory(cluster) => cluster.bootstrap_servers(),
        }
    }
}
