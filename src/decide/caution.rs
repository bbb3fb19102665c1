//! After an unclean take-over: how long to go on one event at a time.
//!
//! The owner before crashed, and perhaps one of the events ahead killed it. Running them one by one, each marked in the
//! store before it starts, is how the culprit is found without blaming its neighbours. But marking costs a round trip
//! for each event, so it ends as soon as everything is passed that the dead owner can have started: what it said it had
//! started (`seen`), and what it started after it had said so. Commits wait for at most the linger and a round trip, so
//! the latter took it about that long; [`ENOUGH_TIME`] of handling is more. It cannot have started what was not there.

use std::time::Duration;

use crate::event::EventId;

/// More handling than a dead owner did between its last word and its end.
const ENOUGH_TIME: Duration = Duration::from_millis(50);
/// Events handled faster than can be measured end it by their number.
const ENOUGH_UNITS: u32 = 1_024;

/// Whether the events of one partition are run one at a time, each marked before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caution(Option<Suspects>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suspects {
    seen: EventId,
    last: EventId,
}

impl Caution {
    /// At an acquisition: whether the owner before went uncleanly, the position, the highest id it said it had
    /// started, and the last id there was.
    pub(crate) fn after(unclean: bool, position: EventId, seen: EventId, last: EventId) -> Self {
        Self((unclean && position < last).then_some(Suspects { seen, last }))
    }

    /// Whether it may still apply to some event.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the event `id`, the next to run, must be run with caution, after `units` of events were so in `spent` of
    /// handling time. Once over, it stays so.
    pub(crate) fn applies(&mut self, id: EventId, spent: Duration, units: u32) -> bool {
        let Some(Suspects { seen, last }) = self.0 else { return false };
        let enough = spent >= ENOUGH_TIME || units >= ENOUGH_UNITS || id > last;
        if id > seen && enough {
            self.0 = None;
        }
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn id(n: u64) -> EventId {
        EventId::new(n, 0)
    }

    /// At position 10 the owner died; it had said it started up to 20, and the stream reached to 1,000.
    fn crashed() -> Caution {
        Caution::after(true, id(10), id(20), id(1_000))
    }

    #[test]
    fn a_clean_take_over_needs_none() {
        let mut caution = Caution::after(false, id(10), id(20), id(1_000));

        assert!(!caution.applies(id(11), NONE, 0));
    }

    #[test]
    fn what_the_dead_owner_said_it_started_is_always_suspect() {
        let mut caution = crashed();

        assert!(caution.applies(id(20), Duration::from_secs(9), 5_000));
    }

    #[test]
    fn beyond_its_last_word_it_ends_after_50_ms_of_handling() {
        let mut caution = crashed();

        assert!(caution.applies(id(21), Duration::from_millis(49), 11));
        assert!(!caution.applies(id(22), Duration::from_millis(50), 12));
    }

    #[test]
    fn or_after_1024_units() {
        let mut caution = crashed();

        assert!(caution.applies(id(21), NONE, 1_023));
        assert!(!caution.applies(id(22), NONE, 1_024));
    }

    #[test]
    fn or_at_an_event_that_the_dead_owner_cannot_have_seen() {
        let mut caution = crashed();

        assert!(caution.applies(id(1_000), NONE, 1));
        assert!(!caution.applies(id(1_001), NONE, 1));
    }

    #[test]
    fn once_over_it_stays_over() {
        let mut caution = crashed();
        assert!(!caution.applies(id(1_001), NONE, 1));

        assert!(!caution.applies(id(11), NONE, 1));
    }

    #[test]
    fn where_nothing_was_left_nothing_is_suspect() {
        let mut caution = Caution::after(true, id(1_000), id(1_000), id(1_000));

        assert!(!caution.applies(id(1_000), NONE, 0));
    }
}
