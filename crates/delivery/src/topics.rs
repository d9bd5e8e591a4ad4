//! Topics, created at start by the programs that need them.
//!
//! Brokers here do not create topics by themselves: a topic created by accident has the wrong number of partitions and
//! hides a misspelt name. A program that needs a topic creates it in the background, so it does not matter which program
//! starts first.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    config::FromClientConfigAndContext,
    types::RDKafkaErrorCode,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Error, Logging, client::DroppedAside, dead_letter, settings};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How often [`keep`] looks whether the topics are still there.
const AGAIN: Duration = Duration::from_secs(10);

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

    /// The topic for the dead letters of another one: one partition, and room for the headers that are added.
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

/// Creates the topics, retrying every second until all exist or `shutdown` is cancelled.
pub async fn create_until_there(
    config: &ClientConfig,
    topics: &[Topic],
    shutdown: &CancellationToken,
) {
    let create = async {
        if let Some(admin) = admin_or_warning(config) {
            create_with_retries(&admin, topics).await;
            info!("the topics exist");
        }
    };
    let _ = shutdown.run_until_cancelled(create).await;
}

/// Creates the topics, and creates them again when one disappears, until `shutdown` is cancelled.
pub async fn keep(config: &ClientConfig, topics: &[Topic], shutdown: &CancellationToken) {
    let keep = async {
        let Some(admin) = admin_or_warning(config) else {
            return;
        };
        loop {
            if create_with_retries(&admin, topics).await {
                info!("the topics exist");
            }
            sleep(AGAIN).await;
        }
    };
    let _ = shutdown.run_until_cancelled(keep).await;
}

/// Creates the topics, once. A topic that exists is left as it is.
///
/// # Errors
/// No broker within five seconds, or one that refuses.
pub async fn create(config: &ClientConfig, topics: &[Topic]) -> Result<(), Error> {
    create_with(&admin(config)?, topics).await.map(drop)
}

type Admin = DroppedAside<AdminClient<Logging>>;

fn admin(config: &ClientConfig) -> Result<Admin, Error> {
    let config = settings::complete(&settings::connection(config), &settings::COMMON, &[])?;
    let admin = AdminClient::from_config_and_context(&config, Logging)?;
    Ok(DroppedAside::new(admin))
}

fn admin_or_warning(config: &ClientConfig) -> Option<Admin> {
    let admin = admin(config).map_err(|error| warn!(%error, "topics cannot be created"));
    admin.ok()
}

/// Returns whether a topic had to be created.
async fn create_with_retries(admin: &Admin, topics: &[Topic]) -> bool {
    loop {
        match create_with(admin, topics).await {
            Ok(created) => return created,
            Err(error) => warn!(%error, "the topics do not exist yet; retrying every second"),
        }
        sleep(RETRY).await;
    }
}

async fn create_with(admin: &Admin, topics: &[Topic]) -> Result<bool, Error> {
    let wanted: Vec<_> = topics.iter().map(Topic::to_new).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT));
    let mut created = false;
    for result in admin.create_topics(&wanted, &options).await? {
        match result {
            Ok(_) => created = true,
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::Topic { topic, code }),
        }
    }
    Ok(created)
}
