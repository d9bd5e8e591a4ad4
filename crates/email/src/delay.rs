//! How long the simulated mail server takes.

use std::time::Duration;

use clap::{
    ArgMatches, Args, Command, Error, FromArgMatches, builder::RangedU64ValueParser,
    error::ErrorKind, value_parser,
};

/// A mail has to be out well before the claim on it may be taken over.
const MOST_MS: u64 = 20_000;

/// From how long to how long the simulated mail server takes for a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    min: Duration,
    max: Duration,
}

/// The two variables, each right by itself.
#[derive(Args)]
struct DelayArgs {
    /// The least time that sending a mail takes, in milliseconds.
    #[arg(long, env = "EMAIL_DELAY_MIN_MS", default_value_t = 50, value_parser = milliseconds())]
    email_delay_min_ms: u64,
    /// The most time that sending a mail takes, in milliseconds.
    #[arg(long, env = "EMAIL_DELAY_MAX_MS", default_value_t = 200, value_parser = milliseconds())]
    email_delay_max_ms: u64,
}

impl Delay {
    /// A delay within these bounds; none if they are the wrong way round.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Option<Self> {
        (min <= max).then_some(Self { min, max })
    }

    /// One delay, any of them as likely as any other.
    pub(crate) fn draw(self) -> Duration {
        rand::random_range(self.min..=self.max)
    }
}

/// clap checks one value at a time; that they fit each other is checked here, so that it is found
/// at start and answered like everything else that is wrong with the configuration.
impl FromArgMatches for Delay {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let args = DelayArgs::from_arg_matches(matches)?;
        let min = Duration::from_millis(args.email_delay_min_ms);
        let max = Duration::from_millis(args.email_delay_max_ms);
        Self::new(min, max).ok_or_else(|| {
            let message = "EMAIL_DELAY_MIN_MS must not be greater than EMAIL_DELAY_MAX_MS";
            Error::raw(ErrorKind::ValueValidation, message)
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Delay {
    fn augment_args(command: Command) -> Command {
        DelayArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        DelayArgs::augment_args_for_update(command)
    }
}

fn milliseconds() -> RangedU64ValueParser {
    value_parser!(u64).range(..=MOST_MS)
}
