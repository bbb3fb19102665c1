//! One Redis stream: its entries, its counters and its consumer groups, with the arithmetic of Redis 7.
//!
//! The counters matter as much as the entries: `entries-added`, a group's `entries-read` and the id of the last
//! deletion decide which lag and which gap an owner is told. It knows nothing of fences.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Entry, EventId, Fields};

/// A stream as Redis keeps it.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) entries: BTreeMap<EventId, Fields>,
    /// The last id ever given out, whether or not its entry is still there.
    pub(super) last: EventId,
    /// Entries ever added.
    pub(super) added: u64,
    /// The highest id ever deleted from the middle. Trimming does not count.
    highest_deleted: EventId,
    /// The highest id ever trimmed.
    highest_cut: EventId,
    pub(super) groups: BTreeMap<String, ConsumerGroup>,
}

/// A consumer group. Ours have a position only; consumers and pending entries come from XREADGROUP.
#[derive(Clone, Debug, Default)]
pub(super) struct ConsumerGroup {
    pub(super) position: EventId,
    pub(super) entries_read: Option<u64>,
    pub(super) consumers: BTreeSet<String>,
    pub(super) pending: BTreeMap<EventId, String>,
}

impl ConsumerGroup {
    pub(super) fn at(position: EventId, entries_read: Option<u64>) -> Self {
        Self { position, entries_read, ..Self::default() }
    }

    pub(super) fn move_to(&mut self, position: EventId, entries_read: Option<u64>) {
        self.position = position;
        self.entries_read = entries_read;
    }

    /// The lowest id that somebody took with XREADGROUP and has not acknowledged.
    pub(super) fn lowest_pending(&self) -> Option<EventId> {
        self.pending.first_key_value().map(|(id, _)| *id)
    }
}

/// Why an entry was not added, in the words of Redis.
pub(super) type Refusal = &'static str;

impl Log {
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The first entry's id; zero in an empty stream, as Redis has it.
    pub(super) fn first(&self) -> EventId {
        self.entries.first_key_value().map_or(EventId::ZERO, |(id, _)| *id)
    }

    /// Adds an entry under that id, or under the next one by this clock.
    pub(super) fn append(&mut self, id: Option<EventId>, fields: Fields, now_ms: u64) -> Result<EventId, Refusal> {
        if fields.is_empty() {
            return Err("wrong number of arguments for 'xadd' command");
        }
        let id = match id {
            Some(EventId::ZERO) => return Err("The ID specified in XADD must be greater than 0-0"),
            Some(id) if id <= self.last => {
                return Err("The ID specified in XADD is equal or smaller than the target stream top item");
            }
            Some(id) => id,
            None => {
                self.next_id(now_ms).ok_or("The stream has exhausted the last possible ID, unable to add more items")?
            }
        };
        self.entries.insert(id, fields);
        self.last = id;
        self.added += 1;
        Ok(id)
    }

    fn next_id(&self, now_ms: u64) -> Option<EventId> {
        if now_ms > self.last.ms {
            return Some(EventId::new(now_ms, 0));
        }
        match self.last.seq.checked_add(1) {
            Some(seq) => Some(EventId::new(self.last.ms, seq)),
            None => self.last.ms.checked_add(1).map(|ms| EventId::new(ms, 0)),
        }
    }

    /// The first entries after an id.
    pub(super) fn after(&self, id: EventId, count: usize) -> Vec<Entry> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.entries.range((Excluded(id), Unbounded)).take(count).map(entry).collect()
    }

    /// The ids after an id.
    pub(super) fn ids_after(&self, id: EventId) -> impl Iterator<Item = &EventId> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.entries.range((Excluded(id), Unbounded)).map(|(id, _)| id)
    }

    /// Entries between two ids, both included.
    pub(super) fn range(&self, from: EventId, to: EventId, count: usize, backwards: bool) -> Vec<Entry> {
        if from > to {
            return Vec::new();
        }
        let between = self.entries.range(from..=to);
        match backwards {
            false => between.take(count).map(entry).collect(),
            true => between.rev().take(count).map(entry).collect(),
        }
    }

    /// Removes every entry before an id (XTRIM MINID). Answers what was removed.
    pub(super) fn cut_before(&mut self, id: EventId) -> Vec<EventId> {
        let kept = self.entries.split_off(&id);
        let cut = std::mem::replace(&mut self.entries, kept);
        self.highest_cut = cut.last_key_value().map_or(self.highest_cut, |(id, _)| *id);
        cut.into_keys().collect()
    }

    /// Removes the oldest entries beyond so many (XTRIM MAXLEN). Answers what was removed.
    pub(super) fn keep_newest(&mut self, keep: u64) -> Vec<EventId> {
        let surplus = self.len().saturating_sub(keep) as usize;
        match self.entries.keys().nth(surplus).copied() {
            Some(first_kept) => self.cut_before(first_kept),
            None => self.cut_before(EventId::MAX),
        }
    }

    /// Deletes one entry (XDEL), which leaves a tombstone for the arithmetic below.
    pub(super) fn delete(&mut self, id: EventId) -> bool {
        let was_there = self.entries.remove(&id).is_some();
        if was_there {
            self.highest_deleted = self.highest_deleted.max(id);
        }
        was_there
    }

    /// Forgets the newest entries as if they had never been added: what a fail-over does that loses them.
    pub(super) fn lose_newest(&mut self, count: usize) -> Vec<EventId> {
        let lost: Vec<_> = self.entries.keys().rev().take(count).copied().collect();
        for id in &lost {
            self.entries.remove(id);
        }
        if !lost.is_empty() {
            self.added -= lost.len() as u64;
            self.last = self.entries.last_key_value().map_or(self.highest_cut, |(id, _)| *id);
        }
        lost
    }

    /// Entries after the group's position, where Redis can tell.
    pub(super) fn lag(&self, group: &ConsumerGroup) -> Option<u64> {
        let read = match group.entries_read {
            _ if self.added == 0 => Some(0),
            Some(read) if !self.has_tombstone_from(group.position) => Some(read),
            _ => self.entries_read_at(group.position),
        };
        read.and_then(|read| self.added.checked_sub(read))
    }

    /// Whether something was deleted between that id and the end, and not only before the first entry.
    fn has_tombstone_from(&self, start: EventId) -> bool {
        !self.is_whole() && !self.entries.is_empty() && start <= self.highest_deleted
    }

    /// Whether nothing is missing between the first entry and the last.
    fn is_whole(&self) -> bool {
        self.highest_deleted == EventId::ZERO || self.highest_deleted < self.first()
    }

    /// How many entries were added up to an id, where the counters alone can tell.
    fn entries_read_at(&self, id: EventId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.entries.is_empty() && id <= self.last {
            return Some(self.added);
        }
        if id >= self.last {
            return (id == self.last).then_some(self.added);
        }
        match id.cmp(&self.first()) {
            Ordering::Less if self.is_whole() => Some(self.added - self.len()),
            Ordering::Equal if self.is_whole() => Some(self.added - self.len() + 1),
            _ => None,
        }
    }

    /// How many entries were read by somebody who put himself there, if the counts tell: those that are gone count.
    pub(super) fn entries_read_from_outside(&self, position: EventId) -> Option<u64> {
        match position {
            position if position == self.last => Some(self.added),
            position if position < self.first() => Some(self.added - self.len()),
            _ => None,
        }
    }

    /// XREADGROUP by somebody else: takes the next entries of the group. Answers them.
    pub(super) fn read_as_consumer(&mut self, group: &str, consumer: &str, count: usize) -> Option<Vec<EventId>> {
        let mut state = self.groups.remove(group)?;
        let ids: Vec<_> = self.ids_after(state.position).take(count).copied().collect();
        // A consumer is made by the first read that gets something.
        if !ids.is_empty() {
            state.consumers.insert(consumer.to_owned());
        }
        for id in &ids {
            state.entries_read = match state.entries_read {
                Some(read) if !self.has_tombstone_from(*id) => Some(read + 1),
                _ => self.entries_read_at(*id),
            };
            state.position = *id;
            state.pending.insert(*id, consumer.to_owned());
        }
        self.groups.insert(group.to_owned(), state);
        Some(ids)
    }
}

fn entry((id, fields): (&EventId, &Fields)) -> Entry {
    Entry { id: *id, fields: fields.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields::from_pairs([("data", "1")])
    }

    fn log_of(ids: impl IntoIterator<Item = u64>) -> Log {
        let mut log = Log::default();
        for ms in ids {
            log.append(Some(EventId::new(ms, 0)), fields(), 0).unwrap();
        }
        log
    }

    #[test]
    fn ids_rise_whatever_the_clock_does() {
        let mut log = Log::default();

        let ids: Vec<_> = [5, 5, 3, 9].map(|now| log.append(None, fields(), now).unwrap()).into();

        assert_eq!(ids, [EventId::new(5, 0), EventId::new(5, 1), EventId::new(5, 2), EventId::new(9, 0)]);
    }

    #[test]
    fn after_the_greatest_id_nothing_can_be_added() {
        let mut log = Log::default();
        log.append(Some(EventId::new(7, u64::MAX)), fields(), 0).unwrap();
        assert_eq!(log.append(None, fields(), 0), Ok(EventId::new(8, 0)));

        log.append(Some(EventId::MAX), fields(), 0).unwrap();

        assert!(log.append(None, fields(), 0).is_err());
    }

    #[test]
    fn entries_without_fields_and_ids_that_do_not_rise_are_refused() {
        let mut log = log_of([5]);
        assert!(log.append(None, Fields::default(), 0).is_err());
        for id in [EventId::ZERO, EventId::new(4, 0), EventId::new(5, 0)] {
            assert!(log.append(Some(id), fields(), 0).is_err(), "{id}");
        }
        assert_eq!((log.len(), log.added), (1, 1));
    }

    #[test]
    fn lag_is_unknown_behind_a_deletion() {
        let mut log = log_of(1..=5);
        let group = ConsumerGroup::at(EventId::new(2, 0), Some(2));
        assert_eq!(log.lag(&group), Some(3));

        log.delete(EventId::new(4, 0));

        assert_eq!(log.lag(&group), None);
        assert_eq!(log.lag(&ConsumerGroup::at(EventId::new(5, 0), None)), Some(0));
    }

    #[test]
    fn a_lost_tail_leaves_the_stream_as_it_was_before() {
        let mut log = log_of(1..=5);

        let lost = log.lose_newest(2);

        assert_eq!(lost, [EventId::new(5, 0), EventId::new(4, 0)]);
        assert_eq!((log.last, log.added, log.len()), (EventId::new(3, 0), 3, 3));
        assert_eq!(log.append(Some(EventId::new(4, 0)), fields(), 0), Ok(EventId::new(4, 0)), "ids are used again");
    }

    #[test]
    fn keeping_the_newest_cuts_the_oldest() {
        let mut log = log_of(1..=5);
        assert_eq!(log.keep_newest(7), []);
        assert_eq!(log.keep_newest(4), [EventId::new(1, 0)]);
        assert_eq!(log.keep_newest(0).len(), 4);
        assert_eq!((log.len(), log.first(), log.last), (0, EventId::ZERO, EventId::new(5, 0)));
    }
}
