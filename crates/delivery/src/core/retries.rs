//! The retry policy: after a failure, whether to try again, and when.
//!
//! | Class | Decision |
//! |---|---|
//! | `Permanent` | dead letter at once |
//! | `Transient` | up to 5 tries, with pauses of up to 0.6 s, 1.2 s, 2.4 s and 4.8 s; then a dead letter |
//! | `Unavailable` | retried until the dependency is back, with pauses from 0.2 s up to 30 s |
//! | `Busy` | retried with pauses from 0.2 s up to 5 s; after 10 minutes a dead letter |
//!
//! Pauses have *equal jitter*: one half is fixed, the other random. So messages that failed together do not come back
//! in step, and five tries cannot be over within a second, as with full jitter. A `Retry-After` of the dependency is
//! the least pause; at most 60 s of it count.

use std::time::{Duration, Instant};

use rand::{Rng, rngs::StdRng};

use crate::FailureClass;

/// When to try a message again, and when to write a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a message with transient failures is tried, the first try included. The default is 5.
    pub transient_tries: u32,
    /// The pauses between them. The default is 0.6 s, doubled up to 5 s.
    pub transient: Backoff,
    /// The pauses while a dependency is unavailable. The default is 0.2 s, doubled up to 30 s.
    pub unavailable: Backoff,
    /// The pauses while a dependency is busy with this very message. The default is 0.2 s, doubled up to 5 s.
    pub busy: Backoff,
    /// How long a message may be busy before it becomes a dead letter. The default is 10 minutes.
    pub longest_busy: Duration,
    /// How much of a `Retry-After` counts. The default is 60 s.
    pub longest_retry_after: Duration,
}

/// Pauses that double from `first` up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first pause.
    pub first: Duration,
    /// The longest pause of all.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let backoff = |first, longest| Backoff {
            first: Duration::from_millis(first),
            longest: Duration::from_millis(longest),
        };
        Self {
            transient_tries: 5,
            transient: backoff(600, 5_000),
            unavailable: backoff(200, 30_000),
            busy: backoff(200, 5_000),
            longest_busy: Duration::from_secs(600),
            longest_retry_after: Duration::from_secs(60),
        }
    }
}

/// The failures of one message so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures {
    transient: u32,
    unavailable: u32,
    busy: u32,
    busy_since: Option<Instant>,
}

impl RetryPolicy {
    /// The pause before the next try; `None` for a dead letter.
    pub(crate) fn after(
        &self,
        failures: &mut Failures,
        class: FailureClass,
        retry_after: Option<Duration>,
        now: Instant,
        random: &mut StdRng,
    ) -> Option<Duration> {
        let pause = match class {
            FailureClass::Permanent => return None,
            FailureClass::Transient => {
                failures.transient = failures.transient.saturating_add(1);
                if failures.transient >= self.transient_tries {
                    return None;
                }
                self.transient.pause(failures.transient, random)
            }
            FailureClass::Unavailable => {
                failures.unavailable = failures.unavailable.saturating_add(1);
                self.unavailable.pause(failures.unavailable, random)
            }
            FailureClass::Busy => {
                failures.busy = failures.busy.saturating_add(1);
                let since = *failures.busy_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= self.longest_busy {
                    return None;
                }
                self.busy.pause(failures.busy, random)
            }
        };
        let asked = retry_after
            .unwrap_or_default()
            .min(self.longest_retry_after);
        Some(pause.max(asked))
    }
}

impl Backoff {
    /// The pause after so many failures, with equal jitter.
    pub(crate) fn pause(self, failures: u32, random: &mut StdRng) -> Duration {
        let half = self.ceiling(failures) / 2;
        half + random.random_range(Duration::ZERO..=half)
    }

    fn ceiling(self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn pauses(class: FailureClass, retry_after: Option<Duration>, most: usize) -> Vec<Duration> {
        let (policy, mut failures) = (RetryPolicy::default(), Failures::default());
        let mut now = Instant::now();
        let mut random = StdRng::seed_from_u64(7);
        let mut pauses = Vec::new();
        while pauses.len() < most {
            match policy.after(&mut failures, class, retry_after, now, &mut random) {
                Some(pause) => pauses.push(pause),
                None => break,
            }
            now += pauses[pauses.len() - 1];
        }
        pauses
    }

    #[test]
    fn transient_failures_get_five_tries_with_doubling_pauses_of_equal_jitter() {
        let pauses = pauses(FailureClass::Transient, None, 100);
        assert_eq!(pauses.len(), 4);
        for (pause, ceiling) in pauses.iter().zip([600, 1_200, 2_400, 4_800]) {
            let range = Duration::from_millis(ceiling / 2)..=Duration::from_millis(ceiling);
            assert!(range.contains(pause), "{pause:?} of {ceiling} ms");
        }
    }

    #[test]
    fn permanent_failures_are_not_retried_and_unavailable_ones_without_limit() {
        assert_eq!(pauses(FailureClass::Permanent, None, 100), []);
        let pauses = pauses(FailureClass::Unavailable, None, 100);
        assert_eq!(pauses.len(), 100);
        let longest = Duration::from_secs(15)..=Duration::from_secs(30);
        assert!(pauses[50..].iter().all(|pause| longest.contains(pause)));
    }

    #[test]
    fn a_message_is_busy_for_ten_minutes_at_most() {
        let pauses = pauses(FailureClass::Busy, None, 10_000);
        let sum: Duration = pauses.iter().sum();
        assert!(
            sum >= Duration::from_secs(600) && sum < Duration::from_secs(606),
            "{sum:?}"
        );
    }

    #[test]
    fn retry_after_is_the_least_pause_up_to_a_minute() {
        for (asked, expected) in [(7, 7), (60, 60), (3_600, 60)] {
            let pauses = pauses(
                FailureClass::Unavailable,
                Some(Duration::from_secs(asked)),
                1,
            );
            assert_eq!(pauses, [Duration::from_secs(expected)]);
        }
    }

    #[test]
    fn counters_saturate() {
        let mut failures = Failures {
            unavailable: u32::MAX,
            ..Failures::default()
        };
        let mut random = StdRng::seed_from_u64(7);
        let policy = RetryPolicy::default();
        let class = FailureClass::Unavailable;
        let pause = policy.after(&mut failures, class, None, Instant::now(), &mut random);
        assert!(pause.is_some_and(|pause| pause <= Duration::from_secs(30)));
    }
}
