//! What lies in a stream: ids, partitions, entries and the events user code sees.
//!
//! An [`Event`] borrows nothing and copies nothing: its fields are spans of the reply they arrived in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The number of one partition of a stream, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of an event: milliseconds and a sequence number, as Redis writes it (`1795315492410-0`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Unix milliseconds, usually; whatever the sender chose, for explicit ids.
    pub ms: u64,
    /// Orders events of one millisecond.
    pub seq: u64,
}

impl EventId {
    /// Before every event.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };
    /// Not before any event.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// An id from its two numbers.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The least id after this one; itself if there is none.
    pub(crate) fn next(self) -> Self {
        match (self.seq.checked_add(1), self.ms.checked_add(1)) {
            (Some(seq), _) => Self::new(self.ms, seq),
            (None, Some(ms)) => Self::new(ms, 0),
            (None, None) => self,
        }
    }

    /// The greatest id before this one; itself if there is none.
    pub(crate) fn before(self) -> Self {
        match (self.seq.checked_sub(1), self.ms.checked_sub(1)) {
            (Some(seq), _) => Self::new(self.ms, seq),
            (None, Some(ms)) => Self::new(ms, u64::MAX),
            (None, None) => self,
        }
    }

    /// Reads `ms-seq`, or `ms` alone as `ms-0`. Nothing else: no signs, no blanks.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&b| b == b'-');
        match dash {
            Some(at) => Some(Self::new(digits(&text[..at])?, digits(&text[at + 1..])?)),
            None => Some(Self::new(digits(text)?, 0)),
        }
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, &b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// A text that is no event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event id; ids look like `1795315492410-0`")]
pub struct InvalidEventId(String);

impl FromStr for EventId {
    type Err = InvalidEventId;
    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        Self::parse(text.as_bytes()).ok_or_else(|| InvalidEventId(text.to_owned()))
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where one name and its value lie in the buffer of their reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: (u32, u32),
    pub(crate) value: (u32, u32),
}

/// The fields of one entry: names and values in the order they were written, doubled names included.
///
/// They share the buffer of the reply they came in; keeping one of them keeps that buffer.
#[derive(Clone, Default)]
pub struct Fields {
    buffer: Bytes,
    spans: SmallVec<[Span; 1]>,
}

impl Fields {
    pub(crate) fn shared(buffer: Bytes, spans: SmallVec<[Span; 1]>) -> Self {
        Self { buffer, spans }
    }

    /// Fields with a buffer of their own, for entries that are to be sent.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut buffer = Vec::new();
        let mut spans = SmallVec::new();
        let mut put = |bytes: &[u8]| {
            let from = buffer.len() as u32;
            buffer.extend_from_slice(bytes);
            (from, buffer.len() as u32)
        };
        for (name, value) in pairs {
            spans.push(Span { name: put(name.as_ref()), value: put(value.as_ref()) });
        }
        Self { buffer: buffer.into(), spans }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The value of the first field of that name.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        self.spans.iter().map(|s| (self.at(s.name), self.at(s.value)))
    }

    /// The name and value of the last field.
    pub(crate) fn last(&self) -> Option<(&[u8], &[u8])> {
        let span = self.spans.last()?;
        Some((self.at(span.name), self.at(span.value)))
    }

    /// The name and value of the first field, and the other fields.
    pub(crate) fn split_first(&self) -> Option<(NameAndValue<'_>, Self)> {
        let (first, others) = self.spans.split_first()?;
        let others = Self { buffer: self.buffer.clone(), spans: SmallVec::from_slice(others) };
        Some(((self.at(first.name), self.at(first.value)), others))
    }

    /// All fields but the last.
    pub(crate) fn without_last(&self) -> Self {
        let others = &self.spans[..self.spans.len().saturating_sub(1)];
        Self { buffer: self.buffer.clone(), spans: SmallVec::from_slice(others) }
    }

    fn at(&self, (from, to): (u32, u32)) -> &[u8] {
        &self.buffer[from as usize..to as usize]
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        self.iter().map(|(n, v)| n.len() + v.len()).sum()
    }
}

/// One field.
pub(crate) type NameAndValue<'a> = (&'a [u8], &'a [u8]);

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lossy = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        f.debug_map().entries(self.iter().map(|(n, v)| (lossy(n), lossy(v)))).finish()
    }
}

/// One entry of a partition as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EventId,
    /// Its fields.
    pub fields: Fields,
}

/// A raw event: an entry and where it came from.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id Redis or the sender gave it.
    pub id: EventId,
    /// The fields as they were sent.
    pub fields: Fields,
    /// The partition it lies in.
    pub partition: Partition,
    /// The stream's name.
    pub stream: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_writes_them() {
        assert_eq!("5-3".parse(), Ok(EventId::new(5, 3)));
        assert_eq!("5".parse(), Ok(EventId::new(5, 0)));
        assert_eq!("18446744073709551615-18446744073709551615".parse(), Ok(EventId::MAX));
        for bad in ["", "-", "5-", "-3", "+5", " 5", "5-3-1", "18446744073709551616"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn after_the_last_id_of_a_millisecond_comes_the_next_millisecond() {
        assert_eq!(EventId::new(5, 3).next(), EventId::new(5, 4));
        assert_eq!(EventId::new(5, u64::MAX).next(), EventId::new(6, 0));
        assert_eq!(EventId::MAX.next(), EventId::MAX);
    }

    #[test]
    fn fields_keep_order_and_doubles() {
        let fields = Fields::from_pairs([("a", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!(fields.get("a"), Some(&b"1"[..]));
        assert_eq!(fields.len(), 3);
        assert_eq!(fields.size(), 6);
    }
}
