//! What the viewer is told about the system whose traces it shows: its name, what a trace is about, and which
//! spans decide the outcome. Without settings it knows nothing but OpenTelemetry's conventions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::view::Tone;

/// The content of the settings file.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Shown on top of the page.
    pub(crate) name: String,
    /// The attribute with the id of the thing that a trace is about, such as `order.id`. `None`: traces are
    /// about nothing that has an id.
    pub(crate) entity: Option<String>,
    /// Attributes of spans that send or handle a message.
    pub(crate) messages: Messages,
    /// How the names of dead-letter topics end, in any case.
    pub(crate) dead_letters: Vec<String>,
    /// What becomes of an entity.
    pub(crate) outcomes: Outcomes,
}

/// Names of attributes that OpenTelemetry's conventions do not have. `None`: the senders have no such attribute.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Messages {
    /// On a consumer: how long the message was in the queue, in seconds.
    pub(crate) queue_time: Option<String>,
    /// On a consumer: how often the message was handled before.
    pub(crate) retry_count: Option<String>,
    /// On a producer: how long the message was in the outbox, in seconds.
    pub(crate) outbox_wait: Option<String>,
}

/// The words for what becomes of an entity, and the spans that decide it.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Outcomes {
    /// Said while nothing more is known than that the entity exists.
    pub(crate) begun: String,
    /// Said when all its messages were handled and no rule applies.
    pub(crate) done: String,
    /// The first rule that a span of the entity fits decides.
    pub(crate) rules: Vec<Rule>,
    /// What a service does once the outcome is certain: when `email` fails, `mail` failed and not the entity.
    pub(crate) afterwards: BTreeMap<String, String>,
}

/// A server span that decides the outcome.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The word for the outcome.
    pub(crate) outcome: String,
    /// How the outcome is to be taken.
    pub(crate) tone: Tone,
    /// The name of the span.
    pub(crate) span: String,
    /// The HTTP status that it answered.
    pub(crate) status: i64,
    /// Why, with `{service}`, `{status}` and the parameters of the route filled in: the value of `{item_id}` in
    /// `POST /stock/{item_id}/reserve` is taken from `url.path`.
    #[serde(default)]
    pub(crate) because: String,
}

impl Settings {
    /// Reads the file.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file);
        let settings = text.map_err(anyhow::Error::new);
        let settings = settings.and_then(|text| Ok(serde_json::from_str(&text)?));
        settings.with_context(|| format!("cannot read {} (set by VIEWER_SETTINGS)", file.display()))
    }

    /// The word for the entity: `order` when the attribute is `order.id`.
    pub(crate) fn entity_name(&self) -> Option<&str> {
        let attribute = self.entity.as_deref()?;
        Some(
            attribute
                .rsplit_once('.')
                .map_or(attribute, |(name, _)| name),
        )
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "Viewer".to_owned(),
            entity: None,
            messages: Messages::default(),
            dead_letters: [".dlq", "-dlq", "_dlq", ".dlt", "-dlt", "_dlt"]
                .map(Into::into)
                .into(),
            outcomes: Outcomes::default(),
        }
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            begun: "Begun".to_owned(),
            done: "Done".to_owned(),
            rules: Vec::new(),
            afterwards: BTreeMap::new(),
        }
    }
}
