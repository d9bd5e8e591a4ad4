//! `orderflow chaos <story>`: something goes wrong, on purpose, in the system that runs on this
//! machine. Says what happens, and where to see it. In the end everything is as it was.

mod stage;
mod stories;

use anyhow::bail;
use clap::ValueEnum;

use super::{home::Home, screen::say};
use stage::Stage;

/// What is to happen.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Story {
    /// Kafka is down when an order is placed
    BrokerDown,
    /// The worker is killed in the middle of an order
    WorkerCrash,
    /// A message that is no order gets into the topic
    Poison,
    /// Email answers 500: 'I never got my mail'
    #[value(name = "email-500")]
    Email500,
    /// Email takes ten seconds for a mail
    SlowEmail,
    /// One item of two is sold out
    OutOfStock,
}

/// Plays a story to its end, or until Ctrl-C, and puts everything back.
pub(crate) async fn run(home: Home, story: Story) -> anyhow::Result<()> {
    let stage = Stage::enter(home)?;
    // A story before this one may have been killed.
    stage.put_back().await?;
    let played = tokio::select! {
        played = play(&stage, story) => played,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("Interrupted.")),
    };
    let put_back = stage.put_back().await;
    let (trace, look_for) = played?;
    put_back?;
    say(format_args!("\nLook for:\n{look_for}"));
    let Some(trace) = trace else {
        bail!("There is no trace to look at: tracing is switched off.");
    };
    say(format_args!("\nTrace: {}", stage.trace_url(&trace)?));
    Ok(())
}

async fn play(stage: &Stage, story: Story) -> anyhow::Result<stories::Ending> {
    match story {
        Story::BrokerDown => stories::broker_down(stage).await,
        Story::WorkerCrash => stories::worker_crash(stage).await,
        Story::Poison => stories::poison(stage).await,
        Story::Email500 => stories::email_500(stage).await,
        Story::SlowEmail => stories::slow_email(stage).await,
        Story::OutOfStock => stories::out_of_stock(stage).await,
    }
}
