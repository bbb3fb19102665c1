//! When a batch is complete: at so many events, or so long after its first.
//!
//! It counts and times events; it does not hold them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Instant;

/// The wait of one partition for its next batch.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    n: usize,
    within: Duration,
    /// When each waiting event came. Those that a batch leaves behind have waited already.
    came: VecDeque<Instant>,
}

/// What to do about the waiting events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Take them.
    Now,
    /// Take them then, or when more come.
    At(Instant),
    /// There are none.
    NotYet,
}

impl Batch {
    /// Batches of at most `n` events (at least one), none of which waits longer than `within`.
    pub(crate) fn new(n: usize, within: Duration) -> Self {
        Self { n: n.max(1), within, came: VecDeque::new() }
    }

    /// An event came.
    pub(crate) fn push(&mut self, now: Instant) {
        self.came.push_back(now);
    }

    /// What to do, `len` events waiting.
    pub(crate) fn due(&self, now: Instant, len: usize) -> Due {
        if len == 0 {
            return Due::NotYet;
        }
        let Some(&first) = self.came.front() else { return Due::Now };
        let then = first + self.within;
        if len >= self.n || then <= now { Due::Now } else { Due::At(then) }
    }

    /// The first `count` waiting events were taken.
    pub(crate) fn taken(&mut self, count: usize) {
        self.came.drain(..count.min(self.came.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch_with_events_at(times: &[u64]) -> Batch {
        let mut batch = Batch::new(3, Duration::from_secs(2));
        times.iter().for_each(|&ms| batch.push(Instant::at(ms)));
        batch
    }

    #[test]
    fn it_is_due_when_it_is_full() {
        let batch = batch_with_events_at(&[0, 100, 200]);

        assert_eq!(batch.due(Instant::at(200), 2), Due::At(Instant::at(2_000)));
        assert_eq!(batch.due(Instant::at(200), 3), Due::Now);
    }

    #[test]
    fn its_first_event_does_not_wait_longer_than_that() {
        let batch = batch_with_events_at(&[500, 2_400]);

        assert_eq!(batch.due(Instant::at(2_499), 2), Due::At(Instant::at(2_500)));
        assert_eq!(batch.due(Instant::at(2_500), 2), Due::Now);
    }

    #[test]
    fn nothing_is_due_without_events() {
        assert_eq!(batch_with_events_at(&[]).due(Instant::at(9_000), 0), Due::NotYet);
    }

    #[test]
    fn events_left_behind_by_a_batch_have_waited_already() {
        let mut batch = batch_with_events_at(&[0, 0, 0, 1_000]);

        batch.taken(3);

        assert_eq!(batch.due(Instant::at(1_500), 1), Due::At(Instant::at(3_000)));
        assert_eq!(batch.due(Instant::at(3_000), 1), Due::Now);
    }

    #[test]
    fn a_batch_of_none_is_one_of_one() {
        let mut batch = Batch::new(0, Duration::from_secs(2));

        batch.push(Instant::at(0));

        assert_eq!(batch.due(Instant::at(0), 1), Due::Now);
    }
}
