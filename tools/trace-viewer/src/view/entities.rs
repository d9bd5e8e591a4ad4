//! What a trace is about: one order, several, or none; and the verdict on each.
//!
//! A client that places two orders within one span of its own makes one trace of them. A span belongs to the
//! order that it names, else to that of the nearest span above it.

use serde::Serialize;

use super::journey::follow;
use super::tree::Tree;
use super::verdict::{self, Tone, Verdict};
use crate::settings::Settings;
use crate::store::{Store, Trace};

/// A trace of more entities has no verdict on the others.
const MAX_ENTITIES: usize = 100;

/// How many verdicts stand in the sentence on a trace of several entities.
const MAX_NAMED: usize = 3;

/// What a trace is about.
pub(super) struct Subject {
    /// The only entity, or the one that was asked for.
    pub(super) entity: Option<String>,
    /// The number of entities.
    pub(super) count: usize,
    /// The verdict on `entity`, else on all.
    pub(super) verdict: Verdict,
    /// The verdict on each, when there are several and none was asked for.
    pub(super) each: Vec<Entity>,
}

/// One of several entities.
#[derive(Serialize)]
pub(super) struct Entity {
    id: String,
    verdict: Verdict,
}

impl Subject {
    /// The subject of a trace at that time (nanoseconds since 1970). `tree` is that of the trace alone.
    pub(super) fn of(
        store: &Store,
        trace: &Trace,
        tree: &Tree,
        asked: Option<&str>,
        now: u64,
    ) -> Self {
        let whole = follow(store, trace, tree.settings);
        let owners = owners(&whole);
        let own = distinct(&self::owners(tree));
        let count = own.len();
        let asked = asked.filter(|asked| own.contains(asked));
        let one = asked.or((count == 1).then(|| own[0]));
        let verdict_on = |entity: &str| {
            // The only entity of a trace owns the spans that name none, too.
            let is_own = |owner: Option<&str>| owner.map_or(count == 1, |owner| owner == entity);
            verdict::of(&whole.part(|at| is_own(owners[at])), true, now)
        };
        let mut each = Vec::new();
        let verdict = match one {
            Some(entity) => verdict_on(entity),
            None if count == 0 => verdict::of(&whole, false, now),
            None => {
                let entity = |id: &&str| Entity {
                    id: (*id).to_owned(),
                    verdict: verdict_on(id),
                };
                each.extend(own.iter().take(MAX_ENTITIES).map(entity));
                summary(&each, count, tree.settings)
            }
        };
        Self {
            entity: one.map(str::to_owned),
            count,
            verdict,
            each,
        }
    }
}

/// For each span the entity that it belongs to.
fn owners<'a>(tree: &'a Tree) -> Vec<Option<&'a str>> {
    let attribute = tree.settings.entity.as_deref();
    let mut owners: Vec<Option<&str>> = Vec::with_capacity(tree.nodes.len());
    for node in &tree.nodes {
        let own = attribute.and_then(|attribute| node.span.text(attribute));
        let above = node.parent.and_then(|parent| owners[parent]);
        owners.push(own.or(above));
    }
    owners
}

/// In the order in which they are met.
fn distinct<'a>(owners: &[Option<&'a str>]) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    let owners = owners.iter().copied().flatten();
    owners.filter(|owner| seen.insert(*owner)).collect()
}

fn summary(each: &[Entity], count: usize, settings: &Settings) -> Verdict {
    let worst = [Tone::Bad, Tone::Open, Tone::Warn].into_iter();
    let has = |tone: &Tone| each.iter().any(|entity| entity.verdict.tone == *tone);
    let mut tones = worst.filter(has);
    let named = each.iter().take(MAX_NAMED);
    let named: Vec<_> = named.map(|entity| &*entity.verdict.headline).collect();
    let detail = match count - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    };
    let name = settings.entity_name().unwrap_or_default();
    Verdict::new(
        tones.next().unwrap_or(Tone::Good),
        format!("{count} {name}s"),
        detail,
    )
}
