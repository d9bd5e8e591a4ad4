//! A brake for dead letters: a bad deploy must not dead-letter a whole topic.
//!
//! Within the last one to two minutes, from 100 dead letters on and when they are at least half of all messages that
//! ended, no further dead letter is written. Nothing is lost by that: the messages stay unfinished and come again.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
const LETTERS: u32 = 100;

/// Counts how messages ended, in the current and the previous minute.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    current: Option<Minute>,
    previous: Count,
    is_on: bool,
}

#[derive(Debug)]
struct Minute {
    began: Instant,
    count: Count,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    ended: u32,
    letters: u32,
}

impl Brake {
    /// True once the brake has been applied. It stays on until the program starts again.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// A message was handled.
    pub(crate) fn handled(&mut self, now: Instant) {
        self.minute(now).ended += 1;
    }

    /// A dead letter is about to be written. False if the brake is on, and the letter must not be written.
    pub(crate) fn allows_letter(&mut self, now: Instant) -> bool {
        if self.is_on {
            return false;
        }
        let current = *self.minute(now);
        let letters = current.letters + self.previous.letters;
        let ended = current.ended + self.previous.ended;
        self.is_on = letters >= LETTERS && letters * 2 >= ended;
        if !self.is_on {
            let count = self.minute(now);
            count.letters += 1;
            count.ended += 1;
        }
        !self.is_on
    }

    fn minute(&mut self, now: Instant) -> &mut Count {
        let age = |minute: &Minute| now.saturating_duration_since(minute.began);
        if let Some(minute) = self.current.take_if(|minute| age(minute) >= WINDOW) {
            let is_recent = age(&minute) < 2 * WINDOW;
            self.previous = if is_recent {
                minute.count
            } else {
                Count::default()
            };
        }
        let fresh = || Minute {
            began: now,
            count: Count::default(),
        };
        &mut self.current.get_or_insert_with(fresh).count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters_until_the_brake(handled_before_each: u32, pause: Duration) -> Option<u32> {
        let (mut brake, mut now) = (Brake::default(), Instant::now());
        for letters in 0..1_000 {
            (0..handled_before_each).for_each(|_| brake.handled(now));
            if !brake.allows_letter(now) {
                assert!(brake.is_on());
                return Some(letters);
            }
            now += pause;
        }
        None
    }

    #[test]
    fn the_brake_is_on_after_100_letters_that_are_half_of_all_messages() {
        let second = Duration::from_secs(1);
        assert_eq!(letters_until_the_brake(0, Duration::ZERO), Some(100));
        assert_eq!(letters_until_the_brake(2, Duration::ZERO), None, "a third");
        assert_eq!(
            letters_until_the_brake(0, second),
            Some(100),
            "a letter a second"
        );
        assert_eq!(
            letters_until_the_brake(0, 2 * second),
            None,
            "fewer than 100 in two minutes"
        );
    }

    #[test]
    fn exactly_half_is_enough() {
        let (mut brake, now) = (Brake::default(), Instant::now());
        (0..100).for_each(|_| brake.handled(now));
        (0..100).for_each(|_| assert!(brake.allows_letter(now)));
        assert!(!brake.allows_letter(now));
    }

    #[test]
    fn letters_of_two_minutes_ago_do_not_count() {
        let (mut brake, now) = (Brake::default(), Instant::now());
        (0..99).for_each(|_| assert!(brake.allows_letter(now)));
        let later = now + 2 * WINDOW;
        assert!(brake.allows_letter(later));
        assert!(brake.allows_letter(later));
    }
}
