//! The words of dead letters: events that were given up, kept with their error.
//!
//! A partition's letters lie in a stream of their own, in its slot. As a source it is named like its stream with
//! [`DEAD`] behind: so consumers own, read and settle it as they do any other. The first field of a letter is
//! [`ABOUT`]; the event's own fields follow, byte for byte. A retried event carries [`RETRIED`] as its last field.

use bytes::Bytes;

use super::BrokerError;
use super::facts::StreamFacts;
use crate::event::{EventId, Fields};

/// What stands behind a stream's name where its dead letters are meant.
pub const DEAD: &str = ".dead";
/// The fields that a letter may have at most, with [`ABOUT`]: a script cannot move more in one step. Giving up an event
/// with more is refused with `TOOMANYFIELDS`.
pub const MOST_FIELDS: usize = 3500;
/// Letters that one atomic step of [`super::Broker::retry_letters`] takes at most.
pub(super) const RETRIED_AT_ONCE: usize = 100;
/// A letter's first field: what became of the event (JSON).
pub const ABOUT: &str = "__letter";
/// The last field of an event that was put back: the letter's [`ABOUT`].
pub const RETRIED: &str = "__retried";

impl StreamFacts {
    /// The stream of this one's dead letters.
    pub fn dead_letters(&self) -> Self {
        Self { name: format!("{}{DEAD}", self.name), ..self.clone() }
    }

    /// The name of the stream whose dead letters these are, if they are.
    pub fn letters_of(&self) -> Option<&str> {
        self.name.strip_suffix(DEAD)
    }

    /// Refuses what makes letters, takes them back or declares a stream, where this one is one of dead letters.
    pub(super) fn refuse_letters(&self, address: &str, doing: &'static str) -> Result<(), BrokerError> {
        let Some(stream) = self.letters_of() else { return Ok(()) };
        let message =
            format!("`{}` are the dead letters of `{stream}`, which has none and is none by itself", self.name);
        Err(BrokerError::Refused { address: address.to_owned(), doing, code: "DEADLETTERS".into(), message })
    }
}

impl NewLetter {
    /// The letter as it is stored.
    pub fn stored(&self) -> Fields {
        letter(&self.about, &self.fields)
    }
}

/// The letter that an event becomes.
pub(super) fn letter(about: &[u8], event: &Fields) -> Fields {
    Fields::from_pairs(std::iter::once((ABOUT.as_bytes(), about)).chain(event.iter()))
}

/// The event that a letter becomes when it is retried; none if it is no letter.
pub(super) fn retried(letter: &Fields) -> Option<Fields> {
    let mut fields = letter.iter();
    let (_, about) = fields.next().filter(|(name, _)| *name == ABOUT.as_bytes())?;
    Some(Fields::from_pairs(fields.chain([(RETRIED.as_bytes(), about)])))
}

/// An event to be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLetter {
    /// The event.
    pub id: EventId,
    /// What became of it (JSON).
    pub about: Bytes,
    /// Its fields as they lie in the stream.
    pub fields: Fields,
}

/// What became of a letter that was to be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// Back in its partition, under this id; the letter is gone.
    Back(EventId),
    /// There is no such letter (any more).
    Gone,
}
