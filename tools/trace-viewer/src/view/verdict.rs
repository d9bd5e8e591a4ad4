//! One sentence about a trace: what became of it, how long it took and where, or what went wrong.
//!
//! From the spans alone, so it fits any service's trace. Where a span carries `order.id` it speaks of an
//! order.

mod cause;
mod order;

use serde::Serialize;

use super::critical::CriticalPath;
use super::messages::{destination, is_dead_letter, is_replay, is_unprocessed, queue_time};
use super::time::human;
use super::tree::{Node, Tree};
use crate::model::Kind;
use cause::Cause;
use order::Outcome;

/// After this a message is not waited for any more.
const GIVEN_UP: u64 = 15 * 60 * 1_000_000_000;

/// What became of a trace.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    /// The main thing.
    pub(super) headline: String,
    /// The rest of the sentence, often empty.
    pub(super) detail: String,
}

/// How it is to be taken.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// It went well.
    Good,
    /// It ended as it should, but not as wished.
    Warn,
    /// It failed.
    Bad,
    /// It has not ended.
    Open,
}

impl Verdict {
    fn new(tone: Tone, headline: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            tone,
            headline: headline.into(),
            detail: detail.into(),
        }
    }
}

/// The verdict on a trace, at that time (nanoseconds since 1970).
pub(super) fn of(tree: &Tree, path: &CriticalPath, now: u64) -> Verdict {
    let (start, end) = tree.bounds();
    let took = human(end - start);
    let outcome = order::outcome(tree);
    if let Some(dead) = last(tree, |node| is_dead_letter(&node.span))
        && !replayed_well(tree, dead)
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
    if let Some(root) = tree.root().filter(|root| root.span.failed()) {
        let cause = Cause::of(tree, position(tree, root));
        return Verdict::new(Tone::Bad, format!("Failed after {took}"), cause.to_string());
    }
    match outcome {
        Outcome::Confirmed => Verdict::new(
            Tone::Good,
            format!("Confirmed in {took}"),
            shares(tree, path),
        ),
        Outcome::Cancelled(why) => Verdict::new(Tone::Warn, format!("Cancelled in {took}"), why),
        Outcome::Accepted if now.saturating_sub(end) < GIVEN_UP => {
            let waited = human(now.saturating_sub(end));
            let detail = format!("nothing sent yet ({waited})");
            Verdict::new(Tone::Open, format!("Accepted in {took}"), detail)
        }
        Outcome::Accepted => {
            Verdict::new(Tone::Bad, format!("Accepted in {took}"), "never seen sent")
        }
        Outcome::NoOrder => plain(tree, path, &took),
    }
}

/// A trace that is no order's and whose root did not fail.
fn plain(tree: &Tree, path: &CriticalPath, took: &str) -> Verdict {
    let failed = tree.nodes.iter().filter(|node| node.span.failed()).count();
    let shares = shares(tree, path);
    match failed {
        0 => Verdict::new(Tone::Good, format!("Done in {took}"), shares),
        1 => Verdict::new(
            Tone::Warn,
            format!("Done in {took}"),
            "one span failed on the way",
        ),
        many => Verdict::new(
            Tone::Warn,
            format!("Done in {took}"),
            format!("{many} spans failed on the way"),
        ),
    }
}

fn given_up(tree: &Tree, dead: usize, outcome: &Outcome, now: u64) -> Verdict {
    let replay = last(tree, |node| is_replay(tree, node));
    let fate = match replay {
        None => "not replayed",
        Some(replay) if is_unprocessed(tree, &tree.nodes[replay]) => {
            let waited = now.saturating_sub(tree.nodes[replay].span.start);
            let detail = format!("{}; replayed {} ago", tried(tree, dead), human(waited));
            return Verdict::new(Tone::Open, "Replayed, not processed yet", detail);
        }
        Some(_) => "replayed, and failed again",
    };
    let detail = format!("{}; dead-lettered; {fate}", tried(tree, dead));
    Verdict::new(Tone::Bad, failed_headline(outcome), detail)
}

fn failing(tree: &Tree, failed: usize, outcome: &Outcome, now: u64) -> Verdict {
    let since = now.saturating_sub(tree.nodes[failed].span.end);
    if since > GIVEN_UP {
        let detail = format!("{}; not tried again", tried(tree, failed));
        return Verdict::new(Tone::Bad, failed_headline(outcome), detail);
    }
    let detail = format!(
        "{} so far; last tried {} ago",
        tried(tree, failed),
        human(since)
    );
    Verdict::new(Tone::Open, "Trying again", detail)
}

fn failed_headline(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Confirmed => "Confirmed, but not finished",
        Outcome::Cancelled(_) => "Cancelled, but not finished",
        Outcome::Accepted | Outcome::NoOrder => "Failed",
    }
}

/// `email answered 500 three times`, of the attempts that led here.
fn tried(tree: &Tree, last: usize) -> String {
    let until = tree.nodes[last].span.start;
    let attempts: Vec<usize> = failed_consumers(tree)
        .filter(|at| tree.nodes[*at].span.start <= until)
        .collect();
    let Some(latest) = attempts.last() else {
        return Cause::of(tree, last).to_string();
    };
    let cause = Cause::of(tree, *latest).to_string();
    match attempts.len() {
        1 => cause,
        2 => format!("{cause} twice"),
        many => format!("{cause} {} times", in_words(many)),
    }
}

fn in_words(number: usize) -> String {
    const WORDS: [&str; 8] = [
        "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    ];
    let word = number.checked_sub(3).and_then(|at| WORDS.get(at));
    word.map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

fn failed_consumers(tree: &Tree) -> impl Iterator<Item = usize> {
    let mut all: Vec<usize> = (0..tree.nodes.len())
        .filter(|at| tree.nodes[*at].span.kind == Kind::Consumer && tree.nodes[*at].span.failed())
        .collect();
    all.sort_by_key(|at| tree.nodes[*at].span.start);
    all.into_iter()
}

fn replayed_well(tree: &Tree, dead: usize) -> bool {
    let handled = |node: &Node| node.span.kind == Kind::Consumer && !node.span.failed();
    tree.subtree(dead).any(handled)
}

fn waiting(tree: &Tree, message: usize, now: u64) -> Verdict {
    let span = &tree.nodes[message].span;
    let waited = now.saturating_sub(span.start);
    let topic = destination(span);
    let later = |node: &Node| node.missing.is_some() && node.span.start >= span.start;
    if tree.nodes.iter().any(later) {
        return Verdict::new(
            Tone::Open,
            "Being processed",
            "its process span has not come yet",
        );
    }
    let waited_for = human(waited);
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

/// `41 ms in the queue, 180 ms in email`.
fn shares(tree: &Tree, path: &CriticalPath) -> String {
    let mut shares = Vec::new();
    let queue: u64 = tree
        .nodes
        .iter()
        .filter_map(|node| queue_time(&node.span))
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
    shares.join(", ")
}

/// The latest by its start.
fn last(tree: &Tree, is: impl Fn(&Node) -> bool) -> Option<usize> {
    let all = tree.nodes.iter().enumerate().filter(|(_, node)| is(node));
    all.max_by_key(|(_, node)| node.span.start)
        .map(|(at, _)| at)
}

fn position(tree: &Tree, wanted: &Node) -> usize {
    tree.nodes
        .iter()
        .position(|node| std::ptr::eq(node, wanted))
        .unwrap_or_default()
}
