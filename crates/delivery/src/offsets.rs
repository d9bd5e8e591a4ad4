//! Which messages of one partition are done, and up to where all of them are.
//!
//! The guarantee: [`Offsets::next`] never passes a message that was received and is not done.
//! Messages finish in any order, and offsets have gaps (compaction, transactions), so it is the run
//! of finished messages among those *received* that counts, not the run of numbers.

use std::collections::VecDeque;

/// What was received of one partition and not yet passed, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    open: VecDeque<Entry>,
    next: Option<i64>,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    done: bool,
}

impl Offsets {
    /// Notes that a message was received. False if it was before: it is in hand already.
    pub(crate) fn received(&mut self, offset: i64) -> bool {
        let known = self.next.is_some_and(|next| offset < next)
            || self
                .open
                .back()
                .is_some_and(|newest| offset <= newest.offset);
        if !known {
            self.open.push_back(Entry {
                offset,
                done: false,
            });
        }
        !known
    }

    /// Notes that a message is done.
    pub(crate) fn done(&mut self, offset: i64) {
        if let Ok(index) = self
            .open
            .binary_search_by_key(&offset, |entry| entry.offset)
        {
            self.open[index].done = true;
        }
        while let Some(entry) = self.open.pop_front_if(|oldest| oldest.done) {
            self.next = Some(entry.offset + 1);
        }
    }

    /// The offset to store: that of the next message to be read after a restart.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// How many messages a restart would bring again, finished ones behind an unfinished included.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    #[test]
    fn stores_only_what_all_before_it_allow() {
        // received, finished in this order, offset to store after each
        type Case = (&'static [i64], &'static [i64], &'static [Option<i64>]);
        let cases: [Case; 5] = [
            (&[0], &[0], &[Some(1)]),
            (&[0, 1, 2], &[2, 1, 0], &[None, None, Some(3)]),
            (&[0, 1, 2], &[0, 2, 1], &[Some(1), Some(1), Some(3)]),
            // gaps
            (&[5, 9, 30], &[9, 5, 30], &[None, Some(10), Some(31)]),
            // never received, or done twice
            (&[3], &[7, 3, 3], &[None, Some(4), Some(4)]),
        ];
        for (received, finished, expected) in cases {
            let mut offsets = Offsets::default();
            for offset in received {
                assert!(offsets.received(*offset));
            }
            let stored: Vec<_> = finished
                .iter()
                .map(|offset| {
                    offsets.done(*offset);
                    offsets.next()
                })
                .collect();
            assert_eq!(stored, expected, "{received:?} finished as {finished:?}");
        }
    }

    #[test]
    fn a_message_received_again_is_not_taken_again() {
        let mut offsets = Offsets::default();
        assert!(offsets.received(4));
        assert!(!offsets.received(4));
        offsets.done(4);
        assert!(!offsets.received(4));
        assert!(offsets.received(5));
        assert_eq!(offsets.len(), 1);
    }
}
