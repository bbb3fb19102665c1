//! A unit in hand: the entries that are settled as one, and which of them the function is given.
//!
//! An event that was put back for another processor is settled with the others, uncalled, and so is one that the view which
//! the processor has of its stream does not show; one that was put back for
//! this one is given without its mark. The entries as they lie in the stream are kept where they may be needed again.

use smallvec::SmallVec;

use crate::event::{Entry, EventId};
use crate::processor::Entries;
use crate::processor::dead_letter::Retried;
use crate::stream::Shows;

/// A unit that was taken from the queue.
pub(super) struct Hand {
    /// All of its events.
    pub(super) ids: SmallVec<[EventId; 1]>,
    /// Those that the function is not given, in order.
    pub(super) uncalled: Vec<EventId>,
    /// The first one that it is given.
    pub(super) first_given: Option<EventId>,
    /// The id that one had at first, if it was put back.
    pub(super) retried: Option<EventId>,
    kept: Option<Entries>,
}

impl Hand {
    /// Takes a unit, and answers what of it is to be given to this processor. Keeping the entries costs as much as
    /// queueing them.
    pub(super) fn take(unit: Entries, processor: &str, shows: Option<Shows>, keep: bool) -> (Self, Entries) {
        let ids: SmallVec<[EventId; 1]> = unit.iter().map(|entry| entry.id).collect();
        let kept = keep.then(|| unit.clone());
        let mut hand = Self { first_given: ids.first().copied(), ids, uncalled: Vec::new(), retried: None, kept };
        if shows.is_none() && !unit.iter().any(|entry| Retried::may_mark(&entry.fields)) {
            return (hand, unit);
        }
        let mut given = Entries::new();
        for entry in unit {
            if shows.is_some_and(|shows| !shows(&entry.fields)) {
                hand.uncalled.push(entry.id);
                continue;
            }
            match Retried::of(&entry.fields) {
                None => given.push(entry),
                Some(mark) if mark.processor == processor => {
                    if given.is_empty() {
                        hand.retried = Some(mark.id);
                    }
                    given.push(Entry { id: entry.id, fields: entry.fields.without_last() });
                }
                Some(_) => hand.uncalled.push(entry.id),
            }
        }
        hand.first_given = given.first().map(|entry| entry.id);
        (hand, given)
    }

    /// The event by which the unit's tries are counted.
    pub(super) fn first(&self) -> EventId {
        *self.ids.first().expect("a unit holds at least one event")
    }

    pub(super) fn last(&self) -> EventId {
        *self.ids.last().expect("a unit holds at least one event")
    }

    /// The entries as they lie in the stream, if they were kept.
    pub(super) fn kept(&self) -> &[Entry] {
        self.kept.as_deref().unwrap_or_default()
    }

    /// The same, to be queued again.
    pub(super) fn into_kept(self) -> Option<Entries> {
        self.kept
    }

    /// Whether the function is not given this event.
    pub(super) fn is_uncalled(&self, id: EventId) -> bool {
        self.uncalled.binary_search(&id).is_ok()
    }

    /// The events that the function is given.
    pub(super) fn given(&self) -> Vec<EventId> {
        self.ids.iter().copied().filter(|id| !self.is_uncalled(*id)).collect()
    }

    /// A middleware has taken these from it. A failure is somebody's: where nothing is left, it is everybody's.
    pub(super) fn leave_out(&mut self, removed: &[EventId], has_failed: bool) {
        if has_failed && self.uncalled.len() + removed.len() >= self.ids.len() {
            return;
        }
        self.uncalled.extend_from_slice(removed);
        self.uncalled.sort_unstable();
    }
}
