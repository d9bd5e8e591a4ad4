//! What every request may need.

use std::sync::Arc;

use crate::answers::Answers;
use crate::config::Config;
use crate::settings::Settings;
use crate::store::Store;

/// Shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) store: Arc<Store>,
    pub(crate) answers: Answers,
    pub(crate) settings: Arc<Settings>,
}

impl App {
    /// An empty viewer.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let settings = config.settings.as_deref().map(Settings::read);
        let for_answers = config.memory_bytes / 4;
        let answers = Answers::new(for_answers);
        let store = Store::new(config.memory_bytes - for_answers, answers.max_spans());
        Ok(Self {
            store: Arc::new(store),
            answers,
            settings: Arc::new(settings.transpose()?.unwrap_or_default()),
        })
    }
}
