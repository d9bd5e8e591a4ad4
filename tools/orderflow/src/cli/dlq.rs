//! `orderflow dlq list | show | replay`: what could not be handled, why, and once more please.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use delivery::dead_letter::DeadLetter;
use domain::OrderCreated;
use messaging::{Message, MessageHeaders};
use orderflow::dead_letters::{DeadLetters, Replayed, order_of};

use super::screen::say;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The Kafka brokers
    #[arg(
        long,
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:9094",
        global = true
    )]
    kafka_brokers: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the dead letters, and why each could not be handled
    List,
    /// Show one with all that it says of itself
    Show {
        /// Its offset, as `list` has it
        offset: i64,
    },
    /// Send them again, in their own traces
    Replay {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Those of this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// All that were not sent again by `--all` before
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let letters = DeadLetters::at(&arguments.kafka_brokers)?;
    match arguments.command {
        Command::List => list(&letters),
        Command::Show { offset } => show(&letters, offset),
        Command::Replay { which } => replay(&letters, &which).await,
    }
}

fn list(letters: &DeadLetters) -> anyhow::Result<()> {
    let (all, replayed_below) = (letters.read()?, letters.replayed_below()?);
    if all.is_empty() {
        say(format_args!("There are no dead letters."));
        return Ok(());
    }
    say(format_args!(
        "{:>6}  {:36}  {:>8}  {:8}  {}",
        "OFFSET", "ORDER", "ATTEMPTS", "REPLAYED", "WHY"
    ));
    for letter in &all {
        let offset = letter.message().offset();
        let replayed = if offset < replayed_below { "yes" } else { "no" };
        say(format_args!(
            "{offset:>6}  {:36}  {:>8}  {replayed:8}  {}{}",
            order_of(letter).unwrap_or("-"),
            letter.attempts(),
            letter.error_message().unwrap_or_default(),
            if letter.is_truncated() {
                " (truncated: cannot be replayed)"
            } else {
                ""
            },
        ));
    }
    Ok(())
}

fn show(letters: &DeadLetters, offset: i64) -> anyhow::Result<()> {
    let all = letters.read()?;
    let found = all
        .iter()
        .find(|letter| letter.message().offset() == offset);
    let letter = found.with_context(|| format!("There is no dead letter at offset {offset}."))?;
    let (topic, partition, original) = letter
        .original()
        .unwrap_or_else(|| ("unknown".to_owned(), -1, -1));
    say(format_args!(
        "order       {}",
        order_of(letter).unwrap_or("-")
    ));
    say(format_args!(
        "original    {topic}, partition {partition}, offset {original}"
    ));
    say(format_args!(
        "error type  {}",
        letter.error_type().unwrap_or_default()
    ));
    say(format_args!(
        "error       {}",
        letter.error_message().unwrap_or_default()
    ));
    say(format_args!(
        "attempts    {}, replayed {} times",
        letter.attempts(),
        letter.replays()
    ));
    say(format_args!(
        "trace       {}",
        trace_id(letter).unwrap_or_default()
    ));
    let payload = letter.message().payload().unwrap_or_default();
    say(format_args!(
        "value       {}",
        String::from_utf8_lossy(payload)
    ));
    Ok(())
}

async fn replay(letters: &DeadLetters, which: &Which) -> anyhow::Result<()> {
    let all = letters.read()?;
    let newest = all.iter().map(|letter| letter.message().offset()).max();
    let wanted = wanted(letters, which, all)?;
    // So that the `send` of a replay shows in the order's trace.
    let telemetry = telemetry::init(&telemetry::Service {
        name: "orderflow",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &[domain::attributes::ORDER_ID],
        trust_remote_sampling: true,
    })?;
    let results = letters.replay(&wanted).await;
    telemetry.shutdown().await;
    let results = results?;
    if let (true, Some(newest)) = (which.all, newest) {
        letters.mark_replayed_below(newest + 1)?;
    }
    let sent = results
        .iter()
        .filter(|result| **result == Replayed::Sent)
        .count();
    say(format_args!(
        "{sent} sent again to {}.",
        OrderCreated::TOPIC
    ));
    match results.len() - sent {
        0 => Ok(()),
        unusable => bail!("{unusable} could not be: they are truncated, or not ours."),
    }
}

fn wanted(
    letters: &DeadLetters,
    which: &Which,
    all: Vec<DeadLetter>,
) -> anyhow::Result<Vec<DeadLetter>> {
    if let Some(order) = &which.order {
        let of_order = |letter: &DeadLetter| order_of(letter) == Some(order);
        let wanted: Vec<_> = all.into_iter().filter(of_order).collect();
        if wanted.is_empty() {
            bail!("There is no dead letter of order {order}.");
        }
        return Ok(wanted);
    }
    let replayed_below = letters.replayed_below()?;
    let is_new = |letter: &DeadLetter| letter.message().offset() >= replayed_below;
    Ok(all.into_iter().filter(is_new).collect())
}

/// The trace that a letter belongs to.
pub(super) fn trace_id(letter: &DeadLetter) -> Option<String> {
    let headers = MessageHeaders::of(letter.message());
    let traceparent = headers.texts("traceparent").next_back()?;
    Some(traceparent.split('-').nth(1)?.to_owned())
}
