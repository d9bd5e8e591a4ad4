//! What `orderflow chaos` wishes of the supervisor, as files that this looks for when a part has ended:
//! further variables for a service, and that a part stay away.

use std::{fs, io, path::PathBuf};

use anyhow::Context;
use orderflow::services::Variable;

use super::home::Home;

const VARIABLES: &str = "env";
const AWAY: &str = "away";

/// The directory of the wishes.
#[derive(Debug, Clone)]
pub(crate) struct Faults(PathBuf);

impl Faults {
    pub(crate) fn of(home: &Home) -> Self {
        Self(home.path().join("faults"))
    }

    /// Has each start of a service come with these variables, from the next one on.
    pub(crate) fn set(&self, part: &str, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        let line = |(name, value): &(&str, &str)| format!("{name}={value}\n");
        self.write(
            part,
            VARIABLES,
            &variables.iter().map(line).collect::<String>(),
        )
    }

    /// The variables with which a service is to be started now.
    pub(crate) fn variables(&self, part: &str) -> Vec<Variable> {
        let text = fs::read_to_string(self.file(part, VARIABLES)).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect()
    }

    /// Has a part not be started again when it ends.
    pub(crate) fn keep_away(&self, part: &str) -> anyhow::Result<()> {
        self.write(part, AWAY, "")
    }

    pub(crate) fn is_kept_away(&self, part: &str) -> bool {
        self.file(part, AWAY).exists()
    }

    /// Forgets every wish; says of which parts there were any.
    pub(crate) fn forget(&self) -> anyhow::Result<Vec<String>> {
        let files = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        let parts = files
            .filter_map(|file| {
                let path = file.ok()?.path();
                Some(path.file_stem()?.to_string_lossy().into_owned())
            })
            .collect();
        let removed = fs::remove_dir_all(&self.0);
        removed.with_context(|| format!("cannot remove {}", self.0.display()))?;
        Ok(parts)
    }

    fn write(&self, part: &str, kind: &str, text: &str) -> anyhow::Result<()> {
        let file = self.file(part, kind);
        let written = fs::create_dir_all(&self.0).and_then(|()| fs::write(&file, text));
        written.with_context(|| format!("cannot write {}", file.display()))
    }

    fn file(&self, part: &str, kind: &str) -> PathBuf {
        self.0.join(format!("{part}.{kind}"))
    }
}
