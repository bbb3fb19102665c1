//! Dead letters: storing them, putting them back, dropping them.
//!
//! They lie in a stream of their own name, as in any other. What can be refused is refused before anything is changed.

use crate::broker::letters::retried;
use crate::broker::{BrokerError, MOST_FIELDS, NewLetter, Place, Retried, StreamRef};
use crate::event::{EventId, Fields, Partition};

use super::ADDRESS;
use super::history::Step;
use super::log::Log;
use super::store::{Inbox, ServerTime, Store};

/// As a server refuses.
pub(super) fn refused(doing: &'static str, code: &str, message: String) -> BrokerError {
    BrokerError::Refused { address: ADDRESS.into(), doing, code: code.into(), message }
}

/// Refuses what one step of a server could not move into this stream.
fn check_adding<'a>(
    doing: &'static str,
    log: Option<&Log>,
    mut entries: impl Iterator<Item = &'a Fields>,
) -> Result<(), BrokerError> {
    if let Some(entry) = entries.find(|entry| entry.len() > MOST_FIELDS) {
        let message = format!("it has {} fields, and at most {MOST_FIELDS} can be moved", entry.len());
        return Err(refused(doing, "TOOMANYFIELDS", message));
    }
    match log {
        Some(log) if log.last.ms == u64::MAX => {
            Err(refused(doing, "NOIDS", format!("the last id of the partition is {}", log.last)))
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Whether there is room for these letters; if not, how many there are.
    pub(super) fn check_letters<'a>(
        &self,
        doing: &'static str,
        place: &Place,
        letters: impl ExactSizeIterator<Item = &'a Fields>,
        limit: u64,
    ) -> Result<Result<(), u64>, BrokerError> {
        let stream = &place.group.stream;
        stream.refuse_letters(ADDRESS, doing)?;
        let (log, count) = (self.log(&stream.dead_letters().name, place.partition), letters.len() as u64);
        check_adding(doing, log, letters)?;
        let have = log.map_or(0, Log::len);
        Ok(if have.saturating_add(count) > limit { Err(have) } else { Ok(()) })
    }

    /// Stores letters, each with the event that it was. [`Self::check_letters`] has been asked.
    pub(super) fn add_letters(&mut self, place: &Place, letters: Vec<(EventId, Fields)>, now: ServerTime) {
        let stream = place.group.stream.dead_letters().name;
        let added: Vec<_> = letters
            .into_iter()
            .map(|(event, letter)| (event, self.add(&stream, place.partition, letter, now)))
            .collect();
        self.history.record(|| Step::Lettered { place: place.clone(), letters: added, at: now.ms() });
    }

    fn add(&mut self, stream: &str, partition: Partition, fields: Fields, now: ServerTime) -> EventId {
        let log = self.partition(stream, partition).log.get_or_insert_default();
        let id = log.append(None, fields, now.ms()).expect("what could be refused was checked before");
        self.arrivals.push(Inbox::Partition(stream.to_owned(), partition));
        id
    }

    pub(super) fn retry_letters(
        &mut self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
        now: ServerTime,
    ) -> Result<Vec<Retried>, BrokerError> {
        const DOING: &str = "retrying dead letters";
        stream.refuse_letters(ADDRESS, DOING)?;
        let dead = stream.dead_letters().name;
        let found = |id: &EventId| -> Result<Option<Fields>, BrokerError> {
            let Some(letter) = self.log(&dead, partition).and_then(|log| log.entries.get(id)) else { return Ok(None) };
            let no_letter = || refused(DOING, "BADLETTER", format!("entry {id} is no dead letter"));
            retried(letter).ok_or_else(no_letter).map(Some)
        };
        let events: Vec<_> = letters.iter().map(found).collect::<Result<_, _>>()?;
        if events.iter().any(Option::is_some) {
            check_adding(DOING, self.log(&stream.name, partition), events.iter().flatten())?;
        }
        let (mut back, mut answers) = (Vec::new(), Vec::with_capacity(letters.len()));
        for (letter, event) in letters.iter().zip(events) {
            let there = self.partition(&dead, partition).log.as_mut().is_some_and(|log| log.delete(*letter));
            // The same letter may be named twice.
            let Some(fields) = event.filter(|_| there) else {
                answers.push(Retried::Gone);
                continue;
            };
            let id = self.add(&stream.name, partition, fields.clone(), now);
            let stream = stream.name.clone();
            self.history.record(|| Step::Appended { stream, partition, id, fields, at: now.ms() });
            back.push((*letter, id));
            answers.push(Retried::Back(id));
        }
        let stream = stream.name.clone();
        self.history.record(|| Step::Retried { stream, partition, letters: back, at: now.ms() });
        Ok(answers)
    }

    pub(super) fn drop_letters(
        &mut self,
        stream: &StreamRef,
        partition: Partition,
        letters: &[EventId],
        now: ServerTime,
    ) -> Result<u64, BrokerError> {
        stream.refuse_letters(ADDRESS, "dropping dead letters")?;
        let mut ids = letters.to_vec();
        let log = self.partition(&stream.dead_letters().name, partition).log.as_mut();
        match log {
            Some(log) => ids.retain(|id| log.delete(*id)),
            None => ids.clear(),
        }
        let dropped = ids.len() as u64;
        let stream = stream.name.clone();
        self.history.record(|| Step::LettersDropped { stream, partition, ids, at: now.ms() });
        Ok(dropped)
    }
}

/// A letter for each, with the event that it was.
pub(super) fn stored(letters: &[NewLetter]) -> Vec<(EventId, Fields)> {
    letters.iter().map(|letter| (letter.id, letter.stored())).collect()
}
