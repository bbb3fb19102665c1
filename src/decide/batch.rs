//! When a batch is complete: at so many events, or so long after its first.
//!
//! It neither holds nor counts events; it is told how many wait and when the first of them came.

use std::time::Duration;

use crate::clock::Instant;

/// What makes a batch complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    n: usize,
    within: Duration,
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
        Self { n: n.max(1), within }
    }

    /// What to do, `waiting` events being there, the first of which came at `since`.
    pub(crate) fn due(self, waiting: usize, since: Instant, now: Instant) -> Due {
        let then = since + self.within;
        match waiting {
            0 => Due::NotYet,
            n if n >= self.n || then <= now => Due::Now,
            _ => Due::At(then),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_THREE: Batch = Batch { n: 3, within: Duration::from_secs(2) };

    #[test]
    fn it_is_due_when_it_is_full() {
        assert_eq!(OF_THREE.due(2, Instant::at(0), Instant::at(200)), Due::At(Instant::at(2_000)));
        assert_eq!(OF_THREE.due(3, Instant::at(0), Instant::at(200)), Due::Now);
    }

    #[test]
    fn its_first_event_does_not_wait_longer_than_that() {
        assert_eq!(OF_THREE.due(2, Instant::at(500), Instant::at(2_499)), Due::At(Instant::at(2_500)));
        assert_eq!(OF_THREE.due(2, Instant::at(500), Instant::at(2_500)), Due::Now);
    }

    #[test]
    fn nothing_is_due_without_events() {
        assert_eq!(OF_THREE.due(0, Instant::at(0), Instant::at(9_000)), Due::NotYet);
    }

    #[test]
    fn a_batch_of_none_is_one_of_one() {
        assert_eq!(Batch::new(0, Duration::from_secs(2)).due(1, Instant::at(0), Instant::at(0)), Due::Now);
    }
}
