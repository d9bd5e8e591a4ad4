//! Topics, made at start by whoever needs them.
//!
//! Brokers here do not make topics by themselves: a topic made by accident has the wrong number of
//! partitions and hides a misspelt name. A program that needs a topic asks for it, in the
//! background and until it is there, so that it does not matter who starts first.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    config::FromClientConfigAndContext,
    types::RDKafkaErrorCode,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Error, Logging, dead_letter, settings};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    name: String,
    partitions: i32,
    max_message_bytes: Option<String>,
}

impl Topic {
    /// A topic with so many partitions, and the broker's defaults otherwise.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self {
            name: name.into(),
            partitions,
            max_message_bytes: None,
        }
    }

    /// The topic of another one's dead letters: one partition, and room for what headers add.
    #[must_use]
    pub fn dead_letters_of(topic: &str) -> Self {
        Self {
            name: dead_letter::topic_of(topic),
            partitions: 1,
            max_message_bytes: Some(dead_letter::MAX_BYTES.to_string()),
        }
    }

    fn to_new(&self) -> NewTopic<'_> {
        // As many replicas as the cluster makes by default.
        let new = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(-1));
        match &self.max_message_bytes {
            Some(bytes) => new.set("max.message.bytes", bytes),
            None => new,
        }
    }
}

/// Makes the topics, trying again until all are there or `shutdown` is asked for.
pub async fn create_until_there(
    config: &ClientConfig,
    topics: &[Topic],
    shutdown: &CancellationToken,
) {
    let attempts = async {
        while let Err(error) = create(config, topics).await {
            warn!(%error, "the topics are not there yet");
            tokio::time::sleep(PAUSE).await;
        }
        info!("the topics are there");
    };
    tokio::select! {
        () = attempts => {}
        () = shutdown.cancelled() => {}
    }
}

/// Makes the topics, once. One that exists already is left as it is.
///
/// # Errors
/// No broker within five seconds, or one that refuses.
pub async fn create(config: &ClientConfig, topics: &[Topic]) -> Result<(), Error> {
    let config = settings::complete(&settings::connection(config), &settings::COMMON, &[])?;
    let admin = AdminClient::from_config_and_context(&config, Logging)?;
    let wanted: Vec<_> = topics.iter().map(Topic::to_new).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(ATTEMPT_TIMEOUT))
        .operation_timeout(Some(ATTEMPT_TIMEOUT));
    for result in admin.create_topics(&wanted, &options).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::Topic { topic, code }),
        }
    }
    Ok(())
}
