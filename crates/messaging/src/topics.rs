//! Topics, made at start by whoever needs them.
//!
//! Brokers here do not make topics by themselves: a topic made by accident has the wrong number of
//! partitions and hides a misspelt name. A program that needs a topic asks for it, in the
//! background and until it is there, so that it does not matter who starts first.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    config::FromClientConfigAndContext,
    types::RDKafkaErrorCode,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Error, client};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// A topic as it should be.
#[derive(Debug, Clone, Copy)]
pub struct Topic<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many partitions it has.
    pub partitions: i32,
    /// The largest message it takes, in bytes; the broker's default without.
    pub max_message_bytes: Option<u32>,
}

/// Makes the topics, trying again until all are there or `shutdown` is asked for.
pub async fn create_until_there(brokers: &str, topics: &[Topic<'_>], shutdown: &CancellationToken) {
    let attempts = async {
        while let Err(error) = create(brokers, topics).await {
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
pub async fn create(brokers: &str, topics: &[Topic<'_>]) -> Result<(), Error> {
    let settings = client::config(brokers, "topics");
    let admin = AdminClient::from_config_and_context(&settings, client::Logged)?;
    let limits: Vec<_> = topics
        .iter()
        .map(|topic| topic.max_message_bytes.map(|bytes| bytes.to_string()))
        .collect();
    let wanted: Vec<_> = topics
        .iter()
        .zip(&limits)
        .map(|(topic, limit)| new_topic(topic, limit.as_deref()))
        .collect();
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

fn new_topic<'a>(topic: &Topic<'a>, max_message_bytes: Option<&'a str>) -> NewTopic<'a> {
    // As many replicas as the cluster makes by default.
    let new = NewTopic::new(topic.name, topic.partitions, TopicReplication::Fixed(-1));
    match max_message_bytes {
        Some(bytes) => new.set("max.message.bytes", bytes),
        None => new,
    }
}
