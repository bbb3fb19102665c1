//! Events started and settled -> the position to commit.
//!
//! The position may pass an event only when it and every one before it is settled. What is settled above it is
//! remembered in the store as done, so that no successor runs it again; when the position passes a done id, it is
//! forgotten there. With one unit at a time nothing is ever settled above the position, except what another version
//! or a migration left: `done` is loaded, skipped and passed all the same. It does not know which key an event has.

use std::collections::{BTreeSet, VecDeque};

use crate::event::EventId;

/// Unsettled or done units above the position at which nothing more is started.
pub(crate) const MOST_OPEN: usize = 1_024;

/// How far one owned partition is.
///
/// A unit is an event, or a batch that is settled as one, known by its last id.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    /// The last one taken for a commit.
    position: EventId,
    /// Units above the position that were met in reading, in order.
    met: VecDeque<Unit>,
    running: usize,
    /// What the store remembers as done, and was not told to forget.
    done: BTreeSet<EventId>,
}

#[derive(Clone, Copy, Debug)]
struct Unit {
    id: EventId,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Settled { entries: u64 },
}

/// What a commit should say, relative to the last one taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Everything up to here is settled.
    pub(crate) position: EventId,
    /// Entries that the position passes.
    pub(crate) entries: u64,
    /// Ids above the position to remember as done.
    pub(crate) done: Vec<EventId>,
    /// Done ids to forget: the position passes them.
    pub(crate) passed: Vec<EventId>,
}

impl Settlement {
    /// At an acquisition: the position, and what is done above it.
    pub(crate) fn new(position: EventId, done: impl IntoIterator<Item = EventId>) -> Self {
        Self { position, met: VecDeque::new(), running: 0, done: done.into_iter().collect() }
    }

    /// Whether it was settled before: it is not run again, but told with [`skipped`](Self::skipped).
    pub(crate) fn is_done(&self, id: EventId) -> bool {
        id <= self.position || self.done.contains(&id)
    }

    /// A unit is going to be run. Told in the order of reading: the position will pass every lower id that was not told
    /// of by then.
    pub(crate) fn started(&mut self, id: EventId) {
        if self.meet(id, State::Running) {
            self.running += 1;
        }
    }

    /// A done event was met in reading. Without this the position would wait for new work to pass it.
    pub(crate) fn skipped(&mut self, id: EventId) {
        self.meet(id, State::Settled { entries: 1 });
    }

    /// A started unit of so many entries is settled. One that was not started changes nothing.
    pub(crate) fn settled(&mut self, id: EventId, entries: u64) {
        let Ok(at) = self.met.binary_search_by_key(&id, |unit| unit.id) else { return };
        if self.met[at].state == State::Running {
            self.met[at].state = State::Settled { entries };
            self.running -= 1;
        }
    }

    /// A started unit was given up for now, and its events will be started again, perhaps in other units. Its last id
    /// may never be the last of one again.
    pub(crate) fn put_back(&mut self, id: EventId) {
        let Ok(at) = self.met.binary_search_by_key(&id, |unit| unit.id) else { return };
        if self.met[at].state == State::Running {
            self.met.remove(at);
            self.running -= 1;
        }
    }

    /// Answers whether it was new.
    fn meet(&mut self, id: EventId, state: State) -> bool {
        if id <= self.position {
            return false;
        }
        let Err(at) = self.met.binary_search_by_key(&id, |unit| unit.id) else { return false };
        self.met.insert(at, Unit { id, state });
        true
    }

    /// What a commit should say now, if there is anything to say.
    pub(crate) fn pending(&self) -> Option<Settled> {
        let mut settled = Settled { position: self.position, entries: 0, done: Vec::new(), passed: Vec::new() };
        let mut units = self.met.iter();
        for unit in units.by_ref() {
            let State::Settled { entries } = unit.state else { break };
            settled.position = unit.id;
            settled.entries += entries;
        }
        let to_remember = |unit: &&Unit| unit.state != State::Running && !self.done.contains(&unit.id);
        settled.done = units.filter(to_remember).map(|unit| unit.id).collect();
        settled.passed = self.done.range(..=settled.position).copied().collect();
        let is_news = settled.position > self.position || !settled.done.is_empty();
        is_news.then_some(settled)
    }

    /// What [`pending`](Self::pending) says, for a commit. That is for good: a commit is repeated until it is answered, or
    /// the partition is not ours any more.
    pub(crate) fn take(&mut self) -> Option<Settled> {
        let settled = self.pending()?;
        self.position = settled.position;
        let passed = self.met.partition_point(|unit| unit.id <= settled.position);
        self.met.drain(..passed);
        settled.passed.iter().for_each(|id| {
            self.done.remove(id);
        });
        self.done.extend(&settled.done);
        Some(settled)
    }

    /// Everything up to here went into a commit.
    pub(crate) fn position(&self) -> EventId {
        self.position
    }

    /// Units above the position: running, settled, or done before.
    pub(crate) fn open(&self) -> usize {
        let is_met = |id: &&EventId| self.met.binary_search_by_key(*id, |unit| unit.id).is_ok();
        self.met.len() + self.done.len() - self.done.iter().filter(is_met).count()
    }

    /// Whether one more may be started. One always may when none runs: only it can move the position.
    pub(crate) fn may_start(&self) -> bool {
        self.running == 0 || self.open() < MOST_OPEN
    }
}

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;
