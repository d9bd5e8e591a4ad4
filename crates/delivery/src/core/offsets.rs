//! Which messages of one partition are done, and up to where all of them are.
//!
//! The guarantee: [`Offsets::next`] never passes a message that was received and is not done. Messages finish in any
//! order, and offsets have gaps (compaction, transactions), so the run of done messages among those *received* counts,
//! not the run of numbers.

use std::collections::VecDeque;

/// What was received of one partition and is not covered by the offset to store, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    open: VecDeque<Entry>,
    newest: Option<i64>,
    next: Option<i64>,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    done: bool,
}

impl Offsets {
    /// Records that a message was received. Within one life of a partition's log offsets only grow; false means that
    /// this one did not, so the log has been truncated or recreated, and nothing was recorded.
    #[must_use]
    pub(crate) fn receive(&mut self, offset: i64) -> bool {
        if self.newest.is_some_and(|newest| offset <= newest) {
            return false;
        }
        self.newest = Some(offset);
        self.open.push_back(Entry {
            offset,
            done: false,
        });
        true
    }

    /// Records a message whose offset does not grow: the log begins again there. What was received from that offset on
    /// belongs to the log as it was. Unfinished messages before it still hold the offset back.
    pub(crate) fn rewind(&mut self, offset: i64) {
        self.open.retain(|entry| entry.offset < offset);
        self.newest = None;
        let is_recorded = self.receive(offset);
        debug_assert!(is_recorded, "no newer one is there");
        self.next = self.open.front().map(|oldest| oldest.offset);
    }

    /// Records that a message is done.
    pub(crate) fn finish(&mut self, offset: i64) {
        let found = self
            .open
            .binary_search_by_key(&offset, |entry| entry.offset);
        if let Ok(index) = found {
            self.open[index].done = true;
        }
        while let Some(entry) = self.open.pop_front_if(|oldest| oldest.done) {
            self.next = Some(entry.offset + 1);
        }
    }

    /// The offset to store: that of the next message to be read after a restart. `None` until a message is done.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// The newest offset that was received.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// How many messages a restart would bring again, done ones behind an unfinished one included.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    #[test]
    fn the_offset_to_store_never_passes_an_unfinished_message() {
        // received, finished in this order, offset to store after each
        type Case = (&'static [i64], &'static [i64], &'static [Option<i64>]);
        let cases: [Case; 5] = [
            (&[0], &[0], &[Some(1)]),
            (&[0, 1, 2], &[2, 1, 0], &[None, None, Some(3)]),
            (&[0, 1, 2], &[0, 2, 1], &[Some(1), Some(1), Some(3)]),
            // gaps
            (&[5, 9, 30], &[9, 5, 30], &[None, Some(10), Some(31)]),
            // never received, or finished twice
            (&[3], &[7, 3, 3], &[None, Some(4), Some(4)]),
        ];
        for (received, finished, expected) in cases {
            let mut offsets = Offsets::default();
            for offset in received {
                assert!(offsets.receive(*offset));
            }
            let stored: Vec<_> = finished
                .iter()
                .map(|offset| {
                    offsets.finish(*offset);
                    offsets.next()
                })
                .collect();
            assert_eq!(stored, expected, "{received:?} finished as {finished:?}");
        }
    }

    #[test]
    fn an_offset_that_does_not_grow_is_another_life_of_the_log() {
        let mut offsets = Offsets::default();
        assert!(offsets.receive(4));
        assert!(!offsets.receive(4));
        offsets.finish(4);
        assert!(!offsets.receive(4));
        assert!(!offsets.receive(2));
        assert!(offsets.receive(5));
        assert_eq!((offsets.len(), offsets.newest()), (1, Some(5)));
    }

    #[test]
    fn after_a_rewind_unfinished_messages_before_it_still_count() {
        let mut offsets = Offsets::default();
        for offset in 0..10 {
            assert!(offsets.receive(offset));
        }
        (0..10)
            .filter(|offset| *offset != 3)
            .for_each(|offset| offsets.finish(offset));
        assert_eq!(offsets.next(), Some(3));
        offsets.rewind(8);
        offsets.finish(8);
        assert_eq!(offsets.next(), Some(3), "3 is unfinished");
        offsets.finish(3);
        assert_eq!(offsets.next(), Some(9));
        offsets.rewind(0);
        assert_eq!(
            offsets.next(),
            Some(0),
            "what was stored covers messages that come again"
        );
        offsets.finish(0);
        assert_eq!((offsets.next(), offsets.len()), (Some(1), 0));
    }
}
