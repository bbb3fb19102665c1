//! The words of dead letters: events that were given up, kept with their error.
//!
//! A partition's letters lie in a stream of their own, in its slot. As a source it is named like its stream with
//! [`DEAD`] behind: so consumers own, read and settle it as they do any other. The first field of a letter is
//! [`ABOUT`]; the event's own fields follow, byte for byte. A retried event carries [`RETRIED`] as its last field.

use bytes::Bytes;

use super::facts::StreamFacts;
use crate::event::{EventId, Fields};

/// What stands behind a stream's name where its dead letters are meant.
pub const DEAD: &str = ".dead";
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
