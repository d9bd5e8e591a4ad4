//! One sentence about a trace, or about one of its orders: what became of it, how long it took and where, or what
//! went wrong.
//!
//! Told from the spans and OpenTelemetry's conventions alone. The words for what becomes of an order, and the
//! spans that decide it, come from the settings.

mod cause;
mod outcome;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::critical::CriticalPath;
use super::messages::{destination, is_dead_letter, is_replay, is_unprocessed, queue_time};
use super::time::{human, passed};
use super::tree::{Node, Tree};
use crate::model::Kind;
use cause::Cause;
use outcome::Outcome;

/// A message that was not handled for so long, in nanoseconds, is not expected to be handled any more.
const GIVEN_UP: u64 = 15 * 60 * 1_000_000_000;

/// The number of equal calls from which on they are mentioned.
const REPEATED: usize = 10;

/// What became of a trace.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    /// The first part of the sentence: the outcome.
    pub(super) headline: String,
    /// The rest of the sentence, often empty.
    pub(super) detail: String,
}

/// How a verdict is to be taken.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// It ended as the system is built to, but not as its user wished.
    Warn,
    /// It failed.
    Bad,
    /// It has not ended.
    Open,
}

impl Verdict {
    pub(super) fn new(tone: Tone, headline: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            tone,
            headline: headline.into(),
            detail: detail.into(),
        }
    }
}

/// The verdict on the spans of an entity, or of a trace that is about none, at that time (nanoseconds since 1970).
pub(super) fn of(tree: &Tree, is_entity: bool, now: u64) -> Verdict {
    let outcome = if is_entity {
        Outcome::of(tree)
    } else {
        Outcome::None
    };
    if let Some(dead) = last(tree, |node| is_dead_letter(&node.span, tree.settings))
        && !handled_under(tree, dead)
    {
        return given_up(tree, dead, &outcome, now);
    }
    if let Some(failed) = last(tree, |node| node.span.kind == Kind::Consumer)
        && tree.nodes[failed].span.failed()
    {
        return failing(tree, failed, &outcome, now);
    }
    if let Some(message) = last(tree, |node| is_unprocessed(tree, node)) {
        return waiting(tree, message, now);
    }
    ended(tree, outcome, now)
}

/// Nothing is under way any more.
fn ended(tree: &Tree, outcome: Outcome, now: u64) -> Verdict {
    let (start, end) = tree.bounds();
    let took = human(end - start);
    let mut tops = (0..tree.nodes.len()).filter(|at| tree.nodes[*at].parent.is_none());
    if let Some(root) = tops.find(|at| tree.nodes[*at].span.failed()) {
        let cause = Cause::of(tree, root).times(1);
        return Verdict::new(Tone::Bad, format!("Failed after {took}"), cause);
    }
    match outcome {
        Outcome::Certain {
            word,
            tone: Tone::Good,
            ..
        } => went_well(tree, word, &took),
        Outcome::Certain {
            word,
            tone,
            because,
        } => Verdict::new(tone, format!("{word} in {took}"), because),
        Outcome::Begun(word) if now.saturating_sub(end) < GIVEN_UP => {
            let detail = format!("not sent yet ({})", passed(now.saturating_sub(end)));
            Verdict::new(Tone::Open, format!("{word} in {took}"), detail)
        }
        Outcome::Begun(word) => {
            Verdict::new(Tone::Bad, format!("{word} in {took}"), "never seen sent")
        }
        Outcome::None => done(tree, &took),
    }
}

/// At the first attempt, or at a later one.
fn went_well(tree: &Tree, word: &str, took: &str) -> Verdict {
    let headline = format!("{word} in {took}");
    let failures = failed_consumers(tree);
    let Some(latest) = failures.last() else {
        return Verdict::new(Tone::Good, headline, shares(tree));
    };
    let replayed = tree.nodes.iter().any(|node| is_replay(tree, node));
    let how = if replayed {
        "after a replay"
    } else {
        "after another attempt"
    };
    let before = Cause::of(tree, *latest).times(failures.len());
    Verdict::new(
        Tone::Good,
        format!("{headline} {how}"),
        format!("before, {before}"),
    )
}

/// A trace that is about no entity and whose root did not fail.
fn done(tree: &Tree, took: &str) -> Verdict {
    let headline = format!("Done in {took}");
    match tree.nodes.iter().filter(|node| node.span.failed()).count() {
        0 => Verdict::new(Tone::Good, headline, shares(tree)),
        1 => Verdict::new(Tone::Warn, headline, "one span failed on the way"),
        many => Verdict::new(
            Tone::Warn,
            headline,
            format!("{many} spans failed on the way"),
        ),
    }
}

fn given_up(tree: &Tree, dead: usize, outcome: &Outcome, now: u64) -> Verdict {
    let (cause, tried) = tried(tree, dead);
    let fate = match last(tree, |node| is_replay(tree, node)) {
        None => "not replayed",
        Some(replay) if is_unprocessed(tree, &tree.nodes[replay]) => {
            let waited = passed(now.saturating_sub(tree.nodes[replay].span.start));
            let detail = format!("{tried}; dead-lettered; replayed {waited} ago");
            return Verdict::new(Tone::Open, "Replayed, not processed yet", detail);
        }
        Some(_) => "replayed, and failed again",
    };
    let detail = format!("{tried}; dead-lettered; {fate}");
    Verdict::new(Tone::Bad, failed_headline(tree, outcome, &cause), detail)
}

fn failing(tree: &Tree, failed: usize, outcome: &Outcome, now: u64) -> Verdict {
    let since = now.saturating_sub(tree.nodes[failed].span.end);
    let (cause, tried) = tried(tree, failed);
    if since > GIVEN_UP {
        let detail = format!("{tried}; not tried again");
        return Verdict::new(Tone::Bad, failed_headline(tree, outcome, &cause), detail);
    }
    let detail = format!("{tried} so far, the last time {} ago", passed(since));
    Verdict::new(Tone::Open, "Trying again", detail)
}

fn failed_headline(tree: &Tree, outcome: &Outcome, cause: &Cause) -> String {
    let Outcome::Certain { word, .. } = outcome else {
        return "Failed".to_owned();
    };
    match tree.settings.outcomes.afterwards.get(cause.service) {
        Some(what) => format!("{word}, {what} failed"),
        None => format!("{word}, but not finished"),
    }
}

/// Why the attempts up to this failed, and the same in words.
fn tried<'a>(tree: &'a Tree<'_>, last: usize) -> (Cause<'a>, String) {
    let until = tree.nodes[last].span.start;
    let attempts = failed_consumers(tree).into_iter();
    let attempts: Vec<_> = attempts
        .filter(|at| tree.nodes[*at].span.start <= until)
        .collect();
    let cause = Cause::of(tree, attempts.last().copied().unwrap_or(last));
    let words = cause.times(attempts.len());
    (cause, words)
}

fn failed_consumers(tree: &Tree) -> Vec<usize> {
    let failed =
        |at: &usize| tree.nodes[*at].span.kind == Kind::Consumer && tree.nodes[*at].span.failed();
    let mut all: Vec<usize> = (0..tree.nodes.len()).filter(failed).collect();
    all.sort_by_key(|at| tree.nodes[*at].span.start);
    all
}

fn handled_under(tree: &Tree, dead: usize) -> bool {
    let handled = |node: &Node| node.span.kind == Kind::Consumer && !node.span.failed();
    tree.subtree(dead).any(|at| handled(&tree.nodes[at]))
}

fn waiting(tree: &Tree, message: usize, now: u64) -> Verdict {
    let span = &tree.nodes[message].span;
    let topic = destination(span);
    let later = |node: &Node| node.missing.is_some() && node.span.start >= span.start;
    if tree.nodes.iter().any(later) {
        return Verdict::new(
            Tone::Open,
            "Being processed",
            "its process span has not come yet",
        );
    }
    let waited = now.saturating_sub(span.start);
    let waited_for = passed(waited);
    if waited > GIVEN_UP {
        let detail = format!("sent to {topic} {waited_for} ago");
        return Verdict::new(Tone::Bad, "Never seen processed", detail);
    }
    Verdict::new(
        Tone::Open,
        format!("Waiting in {topic} for {waited_for}"),
        "no process span yet",
    )
}

/// `41 ms in the queue, 180 ms in email`, and a call that was repeated many times.
fn shares(tree: &Tree) -> String {
    let path = CriticalPath::of(tree);
    let mut shares = Vec::new();
    let queue: u64 = tree
        .nodes
        .iter()
        .filter_map(|node| queue_time(&node.span, tree.settings))
        .sum();
    if queue > 0 {
        shares.push(format!("{} in the queue", human(queue)));
    }
    let (start, end) = tree.bounds();
    let several = path.services.len() > 1;
    let busiest = path
        .services
        .iter()
        .max_by_key(|(name, time)| (**time, std::cmp::Reverse(*name)));
    if let Some((service, time)) = busiest.filter(|(_, time)| several && **time * 10 > end - start)
    {
        shares.push(format!("{} in {service}", human(*time)));
    }
    if let Some((name, times)) = repeated(tree) {
        shares.push(format!("{times} times {name}"));
    }
    shares.join(", ")
}

/// The call that is repeated most often under one span: one call for all would have been better (N+1).
fn repeated<'a>(tree: &'a Tree<'_>) -> Option<(&'a str, usize)> {
    let mut times: HashMap<(usize, &str), usize> = HashMap::new();
    for node in tree
        .nodes
        .iter()
        .filter(|node| node.span.kind == Kind::Client)
    {
        if let Some(parent) = node.parent.filter(|_| node.children.is_empty()) {
            *times.entry((parent, &node.span.name)).or_default() += 1;
        }
    }
    let most = times
        .into_iter()
        .max_by_key(|(place, times)| (*times, std::cmp::Reverse(*place)));
    most.map(|((_, name), times)| (name, times))
        .filter(|(_, times)| *times >= REPEATED)
}

/// The latest by its start.
fn last(tree: &Tree, is: impl Fn(&Node) -> bool) -> Option<usize> {
    let all = tree.nodes.iter().enumerate().filter(|(_, node)| is(node));
    all.max_by_key(|(_, node)| node.span.start)
        .map(|(at, _)| at)
}
