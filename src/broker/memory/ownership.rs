//! Keeping a place and giving it up: every step shows the fence, and one that lost it changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{
    BrokerError, Commit, Committed, Fence, Front, FrontMark, Mark, Note, Place, Renew, Renewed, Stop, StopKind,
};
use crate::event::EventId;

use super::history::Step;
use super::letters;
use super::log::{ConsumerGroup, Log};
use super::store::{FenceState, PartitionData, ServerTime, Store, whole_ms};

impl Store {
    /// Applies a commit exactly once for each (nonce, epoch, n).
    pub(super) fn commit(&mut self, commit: &Commit, now: ServerTime) -> Result<Committed, BrokerError> {
        let (data, processor) = self.place(&commit.place);
        let fence = match fence_shown(&mut data.fences, processor, &commit.fence) {
            Ok(fence) => fence,
            Err(by) => return Ok(Committed::Fenced { by }),
        };
        if commit.n == fence.n {
            return Ok(Committed::Applied);
        }
        // Another number means that the store was rolled back, or that effects of ours were lost in some other way:
        // going on from here would skip them without a word.
        if commit.n != fence.n + 1 {
            return Ok(Committed::Gap { have: fence.n });
        }
        let letters = letters::stored(&commit.letters);
        if !letters.is_empty() {
            let fields = letters.iter().map(|(_, letter)| letter);
            let room = self.check_letters("committing positions", &commit.place, fields, commit.letters_limit)?;
            if let Err(have) = room {
                return Ok(Committed::LettersFull { have });
            }
        }
        let (data, processor) = self.place(&commit.place);
        let group = data.log.as_mut().and_then(|log| log.groups.get_mut(processor));
        let Some((group, fence)) = group.zip(data.fences.get_mut(processor)) else {
            return Ok(Committed::GroupMissing);
        };
        group.move_to(commit.position, commit.entries_read);
        fence.n = commit.n;
        fence.position = Some(commit.position);
        fence.entries_read = commit.entries_read;
        fence.seen = commit.seen;
        fence.mark_front(commit.front);
        data.remember_done(processor, &commit.done, &commit.passed);
        if !letters.is_empty() {
            self.add_letters(&commit.place, letters, now);
        }
        self.history.record(|| Step::Committed {
            place: commit.place.clone(),
            nonce: commit.fence.nonce.to_string(),
            epoch: commit.fence.epoch,
            n: commit.n,
            position: commit.position,
            done: commit.done.clone(),
            at: now.ms(),
        });
        Ok(Committed::Applied)
    }

    /// Prolongs a lease and looks for what nobody told the owner.
    pub(super) fn renew(&mut self, renew: &Renew, now: ServerTime) -> Renewed {
        let (data, processor) = self.place(&renew.place);
        let fence = match fence_shown(&mut data.fences, processor, &renew.fence) {
            Ok(fence) => fence,
            Err(by) => return Renewed::Fenced { by },
        };
        let Some((log, mut group)) = data.log.as_mut().and_then(|log| {
            let group = log.groups.remove(processor)?;
            Some((log, group))
        }) else {
            return Renewed::GroupMissing;
        };
        let lag = log.lag(&group);
        let mut notes = discrepancies(fence, &group, log, renew.read);
        // Letters are deleted when they are retried or dropped, also the last ones: that is no gap.
        let are_letters = renew.place.group.stream.letters_of().is_some();
        let position = fence.position.unwrap_or(EventId::ZERO);
        let at_end = position == log.last || are_letters && log.ids_after(position).next().is_none();
        if notes.is_empty() && at_end && fence.entries_read != Some(log.added) {
            // All is read that there is: what is missing from the count was trimmed or deleted unread.
            let unread = fence.entries_read.and_then(|read| log.added.checked_sub(read));
            notes.extend(unread.filter(|_| !are_letters).map(|entries| Note::Gap { entries }));
            fence.entries_read = Some(log.added);
            group.move_to(position, Some(log.added));
        }
        fence.extend(renew.ttl, now);
        let answer = Renewed::Ours { last: log.last, lag, entries_read: fence.entries_read, notes };
        log.groups.insert(processor.to_owned(), group);
        answer
    }

    /// Frees a place. Answers whether it is, or already was, given up by this owner.
    pub(super) fn release(&mut self, place: &Place, shown: &Fence, mark: Option<&Mark>, now: ServerTime) -> bool {
        let (data, processor) = self.place(place);
        let Some(fence) = data.fences.get_mut(processor) else { return false };
        if fence.released.as_ref() == Some(&shown.nonce) && !fence.is_owned_by(&shown.nonce) {
            return true;
        }
        if !fence.is_shown(shown) {
            return false;
        }
        fence.owner = None;
        fence.released = Some(Arc::clone(&shown.nonce));
        fence.until = 0;
        fence.clean = true;
        let paused = fence.stop.as_ref().is_some_and(|stop| stop.kind == StopKind::Paused);
        // A pause is an operator's word and outlives ours.
        if let (Some(Mark { kind, at, error }), false) = (mark, paused) {
            fence.stop = Some(Stop { kind: *kind, at: *at, error: error.clone(), since: now.ms() });
        }
        self.history.record(|| Step::Released {
            place: place.clone(),
            nonce: shown.nonce.to_string(),
            epoch: shown.epoch,
            at: now.ms(),
        });
        true
    }

    pub(super) fn place<'a>(&mut self, place: &'a Place) -> (&mut PartitionData, &'a str) {
        (self.partition(&place.group.stream.name, place.partition), &place.group.processor)
    }
}

fn discrepancies(fence: &FenceState, group: &ConsumerGroup, log: &Log, read: EventId) -> Vec<Note> {
    let mut notes = Vec::new();
    match fence.position {
        Some(own) if group.position < own => notes.push(Note::MovedBack { from: own, to: group.position }),
        Some(own) if own < group.position => notes.push(Note::ForwardMoveIgnored { to: group.position }),
        _ => {}
    }
    if !group.consumers.is_empty() {
        notes.push(Note::ForeignConsumers);
    }
    if log.last < read {
        notes.push(Note::ReadPositionAhead);
    }
    notes
}

/// The fence, if `shown` proves that it is the caller's; else the nonce of whoever owns it.
fn fence_shown<'a>(
    fences: &'a mut BTreeMap<String, FenceState>,
    processor: &str,
    shown: &Fence,
) -> Result<&'a mut FenceState, String> {
    match fences.get_mut(processor) {
        Some(fence) if fence.is_shown(shown) => Ok(fence),
        Some(fence) => Err(fence.owner.as_deref().unwrap_or_default().to_owned()),
        None => Err(String::new()),
    }
}

impl PartitionData {
    fn remember_done(&mut self, processor: &str, done: &[EventId], passed: &[EventId]) {
        if done.is_empty() && passed.is_empty() {
            return;
        }
        let ids = self.done.entry(processor.to_owned()).or_default();
        ids.extend(done);
        for id in passed {
            ids.remove(id);
        }
        if ids.is_empty() {
            self.done.remove(processor);
        }
    }
}

impl FenceState {
    fn is_shown(&self, shown: &Fence) -> bool {
        self.is_owned_by(&shown.nonce) && self.epoch == shown.epoch
    }

    fn mark_front(&mut self, mark: FrontMark) {
        self.front = match mark {
            FrontMark::Keep => self.front,
            FrontMark::Clear => None,
            FrontMark::Set { id, fails } => {
                let crashes = self.front.filter(|front| front.id == id).map_or(0, |front| front.crashes);
                Some(Front { id, fails, crashes })
            }
        };
    }

    pub(super) fn extend(&mut self, ttl: Duration, now: ServerTime) {
        self.ttl = Some(whole_ms(ttl));
        self.until = now.plus(ttl);
    }
}
