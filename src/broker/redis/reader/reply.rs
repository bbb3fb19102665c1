//! Reads the reply of XREAD, in the shapes of protocol versions 2 and 3, while it arrives.
//!
//! Entries are places in the reply's one buffer; nothing is copied. Parsing goes on where it stopped when the buffer
//! has grown, so that a reply costs the same in one piece or in thousands. Names and values may be any bytes.
//!
//! The frames of `redis-protocol` would not do as well: they are decoded from a whole frame or not at all, so a large
//! reply is scanned anew with every chunk, and each of its values becomes a node of a tree that we would walk again.
//! The two versions are distinct types there, where here they differ in one arm of a match.

use bytes::Bytes;
use smallvec::SmallVec;

use super::resp::{Malformed, Place, Token, token};
use crate::event::{Entry, EventId, Fields, Span};

/// Room made for entries before they have arrived; beyond it, what is allocated follows what was received.
const ENTRIES_AHEAD: u64 = 256;

/// What an XREAD was answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// Streams that have something.
    Streams(Vec<Found>),
    /// No.
    Refused(Place),
}

/// The entries of one key.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: Place,
    entries: Vec<(EventId, SmallVec<[Span; 1]>)>,
}

impl Found {
    /// The entries, as parts of `reply`.
    pub(super) fn entries(self, reply: &Bytes) -> Vec<Entry> {
        let entry = |(id, spans)| Entry { id, fields: Fields::shared(reply.clone(), spans) };
        self.entries.into_iter().map(entry).collect()
    }
}

/// The token that must come next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Reply,
    Stream,
    Key,
    Entries,
    Entry,
    Id,
    Fields,
    Name,
    Value,
    Nothing,
}

/// A reply that is arriving. Its buffer begins with the reply and only ever grows.
#[derive(Debug)]
pub(super) struct Parser {
    at: usize,
    next: Next,
    streams_left: u64,
    /// In a map the pairs are not wrapped.
    wrapped: bool,
    entries_left: u64,
    fields_left: u64,
    id: EventId,
    name: Place,
    spans: SmallVec<[Span; 1]>,
    found: Vec<Found>,
}

impl Parser {
    pub(super) fn new() -> Self {
        Self {
            at: 0,
            next: Next::Reply,
            streams_left: 0,
            wrapped: true,
            entries_left: 0,
            fields_left: 0,
            id: EventId::ZERO,
            name: (0, 0),
            spans: SmallVec::new(),
            found: Vec::new(),
        }
    }

    /// Where the reply ends, once it is answered.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// Goes on with what has arrived; the answer, when it is complete.
    pub(super) fn advance(&mut self, buffer: &[u8]) -> Result<Option<Answer>, Malformed> {
        while let Some((token, end)) = token(buffer, self.at)? {
            self.at = end;
            if let Token::Refusal(place) = token {
                return match self.next {
                    Next::Reply => Ok(Some(Answer::Refused(place))),
                    _ => Err(Malformed::Shape("a refusal")),
                };
            }
            self.next = self.take(token, buffer)?;
            if let Next::Nothing = self.next {
                return Ok(Some(Answer::Streams(std::mem::take(&mut self.found))));
            }
        }
        Ok(None)
    }

    #[inline]
    fn take(&mut self, token: Token, buffer: &[u8]) -> Result<Next, Malformed> {
        Ok(match (self.next, token) {
            (Next::Reply, Token::Null) => Next::Nothing,
            (Next::Reply, Token::Array(streams)) => self.begin(streams, true),
            (Next::Reply, Token::Map(streams)) => self.begin(streams, false),
            (Next::Stream, Token::Array(2)) => Next::Key,
            (Next::Key, Token::Bulk(key)) => {
                self.found.push(Found { key, entries: Vec::new() });
                Next::Entries
            }
            (Next::Entries, Token::Array(entries)) => {
                if let Some(found) = self.found.last_mut() {
                    found.entries.reserve(entries.min(ENTRIES_AHEAD) as usize);
                }
                self.entries_left = entries;
                self.after_entry()
            }
            (Next::Entry, Token::Array(2)) => Next::Id,
            (Next::Id, Token::Bulk((from, to))) => {
                let id = EventId::parse(&buffer[from as usize..to as usize]);
                self.id = id.ok_or(Malformed::Shape("a text that is no id"))?;
                Next::Fields
            }
            (Next::Fields, Token::Array(fields)) if fields % 2 == 0 => {
                self.fields_left = fields / 2;
                self.after_field()
            }
            (Next::Fields, Token::Array(_)) => return Err(Malformed::Shape("a name without a value")),
            (Next::Name, Token::Bulk(name)) => {
                self.name = name;
                Next::Value
            }
            (Next::Value, Token::Bulk(value)) => {
                self.spans.push(Span { name: self.name, value });
                self.fields_left -= 1;
                self.after_field()
            }
            (_, other) => return Err(Malformed::Shape(kind(other))),
        })
    }

    fn begin(&mut self, streams: u64, wrapped: bool) -> Next {
        self.streams_left = streams;
        self.wrapped = wrapped;
        self.before_stream()
    }

    fn before_stream(&self) -> Next {
        match (self.streams_left, self.wrapped) {
            (0, _) => Next::Nothing,
            (_, true) => Next::Stream,
            (_, false) => Next::Key,
        }
    }

    #[inline]
    fn after_field(&mut self) -> Next {
        if self.fields_left > 0 {
            return Next::Name;
        }
        if let Some(found) = self.found.last_mut() {
            found.entries.push((self.id, std::mem::take(&mut self.spans)));
        }
        self.entries_left -= 1;
        self.after_entry()
    }

    #[inline]
    fn after_entry(&mut self) -> Next {
        if self.entries_left > 0 {
            return Next::Entry;
        }
        self.streams_left -= 1;
        self.before_stream()
    }
}

fn kind(token: Token) -> &'static str {
    match token {
        Token::Bulk(_) => "a bulk string",
        Token::Null => "a null",
        Token::Array(_) => "an array",
        Token::Map(_) => "a map",
        Token::Number(_) => "a number",
        Token::Line(_) => "a simple string",
        Token::Refusal(_) => "a refusal",
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
