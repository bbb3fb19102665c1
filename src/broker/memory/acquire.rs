//! Taking a place: whether we may, and where to go on.
//!
//! The position is the consumer group's, and others can reach that: it may be missing, moved, used through XREADGROUP,
//! beyond the end after a fail-over, or before what was trimmed. [`whereabouts`] finds out without touching anything;
//! only when nothing stands against it any more, [`Store::acquire`] writes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Acquire, Acquired, Epoch, Front, Note, Owned, Start, Stop, StopKind};
use crate::event::EventId;

use super::history::Step;
use super::log::{ConsumerGroup, Log};
use super::store::{FenceState, PartitionData, ServerTime, Store};

/// Acknowledged entries that a migration remembers at most; beyond it, they are processed again.
const MIGRATED_AT_MOST: usize = 10_000;

impl Store {
    pub(super) fn acquire(&mut self, wish: &Acquire, now: ServerTime) -> Acquired {
        let (stream, processor) = (&*wish.place.group.stream.name, &*wish.place.group.processor);
        let data = self.partition(stream, wish.place.partition);
        let fence = data.fences.get_mut(processor);
        if let Some(refusal) = fence.and_then(|fence| fence.refuses(wish, now)) {
            return refusal;
        }
        let again = data.fences.get(processor).is_some_and(|fence| fence.is_owned_by(&wish.nonce));
        if again {
            return data.answer_again(processor, wish, now);
        }
        let mut found = whereabouts(data, processor, wish.start);
        if wish.place.group.stream.letters_of().is_some() {
            // Letters are deleted when they are retried or dropped.
            found.notes.retain(|note| !matches!(note, Note::Gap { .. }));
        }
        let stop = data.fences.get(processor).and_then(|fence| fence.stop.clone());
        if let Some(stop) = stop.as_ref().filter(|stop| stop.holds(found.position, wish.joined)) {
            return Acquired::Stopped(stop.clone());
        }

        let last = data.log.as_ref().map_or(EventId::ZERO, |log| log.last);
        data.settle_group(processor, &found);
        let done = data.settle_done(processor, &found);
        let fence = data.fences.entry(processor.to_owned()).or_default();
        fence.pass_to(wish, &found, now);
        let owned = fence.owned(last, done, found.notes);
        self.history.record(|| Step::Owned {
            place: wish.place.clone(),
            worker: wish.worker.to_string(),
            nonce: wish.nonce.to_string(),
            epoch: owned.epoch,
            position: owned.position,
            at: now.ms(),
        });
        Acquired::Owned(Box::new(owned))
    }
}

impl FenceState {
    pub(super) fn is_owned_by(&self, nonce: &str) -> bool {
        self.owner.as_deref() == Some(nonce)
    }

    /// Why this wish is refused before anything else is looked at.
    fn refuses(&mut self, wish: &Acquire, now: ServerTime) -> Option<Acquired> {
        if self.released.as_ref() == Some(&wish.nonce) {
            return Some(Acquired::Spent);
        }
        // The server's clock may have gone back: no lease lasts longer than it was given for.
        if let Some(ttl) = self.ttl {
            self.until = self.until.min(now.ms().saturating_add(ttl));
        }
        let held = self.owner.as_ref().is_some_and(|owner| *owner != wish.nonce) && self.until > now.ms();
        held.then(|| Acquired::Held { by: self.worker.clone(), wait: Duration::from_millis(self.until - now.ms()) })
    }

    fn pass_to(&mut self, wish: &Acquire, found: &Whereabouts, now: ServerTime) {
        if let Some(stop) = self.stop.take() {
            // Somebody lifted the halt by starting a new worker: the event gets all its tries again.
            if let (StopKind::Halted, Some(front)) = (stop.kind, self.front.as_mut()) {
                *front = Front { id: front.id, fails: 0, crashes: 0 };
            }
        }
        self.front = self.front.filter(|front| front.id > found.position);
        self.unclean = self.position.is_some() && !self.clean;
        if let (true, Some(front)) = (self.unclean, self.front.as_mut()) {
            front.crashes = front.crashes.saturating_add(1);
        }
        self.epoch = Epoch(now.micros.max(self.epoch.0 + 1));
        self.n = 0;
        self.owner = Some(Arc::clone(&wish.nonce));
        self.worker = wish.worker.to_string();
        self.position = Some(found.position);
        self.entries_read = found.entries_read;
        self.extend(wish.ttl, now);
        self.clean = false;
    }

    /// What the owner is told.
    fn owned(&self, last: EventId, done: Vec<EventId>, notes: Vec<Note>) -> Owned {
        let position = self.position.unwrap_or(EventId::ZERO);
        Owned {
            epoch: self.epoch,
            position,
            last,
            n: self.n,
            entries_read: self.entries_read,
            unclean: self.unclean,
            seen: self.seen,
            front: self.front.filter(|front| front.id > position),
            done,
            notes,
        }
    }
}

impl Stop {
    /// Whether this mark keeps a member that joined then from going on at that position.
    fn holds(&self, position: EventId, joined: u64) -> bool {
        match self.kind {
            StopKind::Paused => true,
            StopKind::Quarantined => position < self.at,
            StopKind::Halted => position < self.at && joined <= self.since,
        }
    }
}

impl PartitionData {
    /// The answer to a wish that was granted before, with the commits made since. It repairs nothing: it may be a late
    /// duplicate of what was answered long ago, and its owner would not hear of a position that moves under it. What
    /// others have done since, the next renewal finds out.
    fn answer_again(&mut self, processor: &str, wish: &Acquire, now: ServerTime) -> Acquired {
        let last = self.log.as_ref().map_or(EventId::ZERO, |log| log.last);
        let fence = self.fences.entry(processor.to_owned()).or_default();
        fence.extend(wish.ttl, now);
        let position = fence.position.unwrap_or(EventId::ZERO);
        let mut owned = fence.owned(last, Vec::new(), Vec::new());
        owned.done = self.forget_passed(processor, position);
        Acquired::Owned(Box::new(owned))
    }

    /// Makes the group one that has a position and nothing else.
    fn settle_group(&mut self, processor: &str, found: &Whereabouts) {
        let groups = &mut self.log.get_or_insert_default().groups;
        groups.insert(processor.to_owned(), ConsumerGroup::at(found.position, found.entries_read));
        self.registered.insert(processor.to_owned());
    }

    /// The ids that are settled above the position that was found.
    fn settle_done(&mut self, processor: &str, found: &Whereabouts) -> Vec<EventId> {
        match &found.done {
            DoneSet::Kept => {}
            DoneSet::Void => drop(self.done.remove(processor)),
            DoneSet::Replaced(ids) => drop(self.done.insert(processor.to_owned(), ids.clone())),
        }
        self.forget_passed(processor, found.position)
    }

    /// The ids that are settled above a position. Forgets those below.
    fn forget_passed(&mut self, processor: &str, position: EventId) -> Vec<EventId> {
        let Some(ids) = self.done.get_mut(processor) else { return Vec::new() };
        ids.retain(|id| *id > position);
        let done = ids.iter().copied().collect();
        if ids.is_empty() {
            self.done.remove(processor);
        }
        done
    }
}

/// Where a processor is in a partition, after every repair.
struct Whereabouts {
    position: EventId,
    entries_read: Option<u64>,
    done: DoneSet,
    notes: Vec<Note>,
}

/// What becomes of the ids that are settled above the position.
enum DoneSet {
    Kept,
    Void,
    Replaced(BTreeSet<EventId>),
}

/// Where a processor is, and what had to be repaired. Changes nothing.
fn whereabouts(data: &PartitionData, processor: &str, start: Start) -> Whereabouts {
    let log = data.log.as_ref();
    let fence = data.fences.get(processor);
    let own = fence.and_then(|fence| Some((fence.position?, fence.entries_read)));
    let mut found = match log.and_then(|log| Some((log, log.groups.get(processor)?))) {
        None => without_group(log, own, start),
        Some((log, group)) if !group.consumers.is_empty() => used_by_others(log, group, own),
        Some((_, group)) => of_group(group, own),
    };
    let last = log.map_or(EventId::ZERO, |log| log.last);
    if last < found.position {
        found.notes.push(Note::TailLost { from: found.position, to: last });
        found.position = last;
        found.entries_read = None;
        found.done = DoneSet::Void;
    }
    match log {
        Some(log) => count_gap(&mut found, log, own.is_none()),
        // In a stream that does not exist nothing was read, for certain.
        None => found.entries_read = found.entries_read.or(Some(0)),
    }
    found
}

type OwnCopy = Option<(EventId, Option<u64>)>;

fn without_group(log: Option<&Log>, own: OwnCopy, start: Start) -> Whereabouts {
    let last = log.map_or(EventId::ZERO, |log| log.last);
    let (position, entries_read, note) = match (own, start) {
        (Some((position, entries_read)), _) => (position, entries_read, Note::GroupRecreated),
        (None, Start::Beginning) => (EventId::ZERO, None, Note::Begun),
        (None, Start::End) => (last, None, Note::Begun),
        // A time after the last event is no lost tail: nobody was ever there.
        (None, Start::After(id)) => (id.min(last), None, Note::Begun),
    };
    Whereabouts { position, entries_read, done: DoneSet::Kept, notes: vec![note] }
}

/// The group as XREADGROUP left it: before our time, or in spite of us.
fn used_by_others(log: &Log, group: &ConsumerGroup, own: OwnCopy) -> Whereabouts {
    let mut found =
        Whereabouts { position: group.position, entries_read: group.entries_read, done: DoneSet::Kept, notes: vec![] };
    if let Some(lowest) = group.lowest_pending() {
        migrate(&mut found, log, group, lowest);
    }
    if let Some((position, entries_read)) = own.filter(|(position, _)| *position < found.position) {
        // They read in a group that was ours already: what they took was not processed by us.
        found.position = position;
        found.entries_read = entries_read;
        found.done = DoneSet::Kept;
        found.notes.push(Note::ForeignConsumers);
    }
    found
}

/// Goes back to just below the lowest pending entry; what was acknowledged above it is settled already.
fn migrate(found: &mut Whereabouts, log: &Log, group: &ConsumerGroup, lowest: EventId) {
    let before = log.entries.range(..lowest).next_back().map_or(EventId::ZERO, |(id, _)| *id);
    let window = || log.ids_after(before).copied().take_while(|id| *id <= group.position);
    let read = window().count();
    let pending = group.pending.len() as u64;
    found.position = before;
    if read > MIGRATED_AT_MOST {
        found.entries_read = None;
        found.notes.push(Note::MigratedWithRepeats);
        return;
    }
    let done: BTreeSet<_> = window().filter(|id| !group.pending.contains_key(id)).collect();
    let gone = pending.saturating_sub((read - done.len()) as u64);
    if gone > 0 {
        found.notes.push(Note::Gap { entries: gone });
    }
    found.notes.push(Note::Migrated { pending, done: done.len() as u64 });
    found.entries_read = group.entries_read.and_then(|entries| entries.checked_sub(read as u64));
    if !done.is_empty() {
        found.done = DoneSet::Replaced(done);
    }
}

/// The group as we left it, unless somebody moved it.
fn of_group(group: &ConsumerGroup, own: OwnCopy) -> Whereabouts {
    let mut found =
        Whereabouts { position: group.position, entries_read: group.entries_read, done: DoneSet::Kept, notes: vec![] };
    match own {
        Some((own, _)) if group.position < own => {
            found.done = DoneSet::Void;
            found.notes.push(Note::MovedBack { from: own, to: group.position });
        }
        // A foreign reader that came and went looks the same as an operator: skipping needs a reset.
        Some((own, entries_read)) if own < group.position => {
            found.position = own;
            found.entries_read = entries_read;
            found.notes.push(Note::ForwardMoveIgnored { to: group.position });
        }
        _ => {}
    }
    found
}

/// Finds out how many entries were trimmed unread, or restores the count of entries read where it is unknown.
fn count_gap(found: &mut Whereabouts, log: &Log, fresh: bool) {
    let Some(read) = found.entries_read.filter(|read| *read <= log.added) else {
        // What was cut off before we had a position is no gap; afterwards nobody knows how much of it was read.
        let tells = fresh || found.position == log.last;
        found.entries_read = log.entries_read_from_outside(found.position).filter(|_| tells);
        return;
    };
    let cut_off = found.position != log.last && (log.entries.is_empty() || found.position < log.first());
    let unread = (log.added - read).saturating_sub(log.len());
    if cut_off && unread > 0 {
        found.notes.push(Note::Gap { entries: unread });
    }
}
