//! Dead letters: what a processor gave up, as it is written and as it is read.
//!
//! [`Letter`] reads one without knowing its record, for tools; [`DeadLetter`] is the record of the stream that
//! `ORDERS.dead_letters()` answers. Reading one does not fail because the event that was given up cannot be decoded:
//! that may be why it was. [`Retried`] is the mark that an event carries which was put back.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::broker::{ABOUT, DEAD, NewLetter, RETRIED};
use crate::clock::UnixMs;
use crate::codec::{Codec, DecodeError, EncodeError, Limits};
use crate::event::{Entry, EventId, Fields, Partition};
use crate::record::Record;
use crate::route::Key;
use crate::stream::{RecordCodec, Stream};

use super::extract::Context;

/// Bytes of an error that a letter keeps.
const LONGEST_ERROR: usize = 8 << 10;

/// What became of an event that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterAbout {
    /// The event; of one that was retried, as it was sent at first.
    pub id: EventId,
    /// The processor that gave it up.
    pub processor: String,
    /// Why: the last error and its causes.
    #[serde(default)]
    pub error: String,
    /// How often its handling failed.
    #[serde(default)]
    pub attempts: u32,
    /// How often its worker vanished while handling it.
    #[serde(default)]
    pub crashes: u32,
    /// When it was given up, in Unix milliseconds of the worker's clock.
    #[serde(default)]
    pub at: UnixMs,
    /// The worker.
    #[serde(default)]
    pub worker: String,
    /// The stream it was sent to.
    #[serde(default)]
    pub stream: String,
    /// Its partition there.
    #[serde(default = "first_partition")]
    pub partition: Partition,
    /// The epoch of the ownership under which it was given up; 0 if an operator did that.
    #[serde(default)]
    pub epoch: u64,
}

fn first_partition() -> Partition {
    Partition(0)
}

impl LetterAbout {
    /// As it is stored.
    pub(crate) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("texts and numbers have a JSON").into()
    }
}

/// A dead letter, without the type of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The letter's own id.
    pub letter_id: EventId,
    /// What became of the event.
    pub about: LetterAbout,
    /// The event's fields, as they were sent.
    pub fields: Fields,
}

impl Letter {
    /// Reads an entry of a stream of dead letters.
    ///
    /// # Errors
    /// If it is no letter: something else has written it.
    pub fn read(entry: &Entry) -> Result<Self, DecodeError> {
        let (about, fields) = parts(&entry.fields)?;
        Ok(Self { letter_id: entry.id, about, fields })
    }
}

fn parts(fields: &Fields) -> Result<(LetterAbout, Fields), DecodeError> {
    let first = fields.split_first().filter(|((name, _), _)| *name == ABOUT.as_bytes());
    let ((_, about), original) = first.ok_or_else(|| DecodeError::MissingField { name: ABOUT.into() })?;
    let about = serde_json::from_slice(about).map_err(|why| DecodeError::refused("what became of an event", why))?;
    Ok((about, original))
}

/// The mark of an event that was put back to be retried.
#[derive(Debug, Deserialize)]
pub(crate) struct Retried {
    /// Its id when it was sent at first.
    pub(crate) id: EventId,
    /// The processor that shall have it; all others settle it uncalled.
    pub(crate) processor: String,
}

impl Retried {
    /// Whether these fields may carry the mark: only the last one's name is looked at.
    pub(crate) fn may_mark(fields: &Fields) -> bool {
        fields.last().is_some_and(|(name, _)| name == RETRIED.as_bytes())
    }

    /// The mark of these fields. What cannot be read is none: it is a field like any other.
    pub(crate) fn of(fields: &Fields) -> Option<Self> {
        let (name, value) = fields.last()?;
        (name == RETRIED.as_bytes()).then(|| serde_json::from_slice(value).ok())?
    }
}

/// Writes letters for what one failed unit held.
pub(crate) struct Writer<'a> {
    pub(crate) context: &'a Context,
    pub(crate) error: &'a str,
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
    pub(crate) at: UnixMs,
}

impl Writer<'_> {
    /// The letter of an entry, as it lies in the stream.
    pub(crate) fn letter(&self, entry: &Entry) -> NewLetter {
        let tenancy = &*self.context.tenancy;
        let (id, fields) = match Retried::of(&entry.fields) {
            Some(mark) => (mark.id, entry.fields.without_last()),
            None => (entry.id, entry.fields.clone()),
        };
        let about = LetterAbout {
            id,
            processor: tenancy.processor.to_string(),
            error: shortened(self.error),
            attempts: self.attempts,
            crashes: self.crashes,
            at: self.at,
            worker: tenancy.worker.to_string(),
            stream: tenancy.stream.to_string(),
            partition: tenancy.partition,
            epoch: tenancy.epoch.0,
        };
        NewLetter { id, about: about.to_bytes(), fields }
    }
}

fn shortened(error: &str) -> String {
    if error.len() <= LONGEST_ERROR {
        return error.to_owned();
    }
    let end = (0..=LONGEST_ERROR).rev().find(|at| error.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", &error[..end])
}

/// An event that a processor gave up, with its error: the record of `ORDERS.dead_letters()`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter<R> {
    /// The event; of one that was retried, as it was sent at first.
    pub id: EventId,
    /// The stream it was sent to.
    pub stream: String,
    /// Its partition there.
    pub partition: Partition,
    /// The processor that gave it up.
    pub processor: String,
    /// Why: the last error and its causes.
    pub error: String,
    /// How often its handling failed.
    pub attempts: u32,
    /// How often its worker vanished while handling it.
    pub crashes: u32,
    /// When it was given up, by the worker's clock.
    pub at: DateTime<Utc>,
    /// The worker that gave it up.
    pub worker: String,
    fields: Fields,
    record: Result<R, Arc<DecodeError>>,
}

impl<R> DeadLetter<R> {
    /// The event's fields, byte for byte as they were sent.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The record that was sent.
    ///
    /// # Errors
    /// If it cannot be decoded, which may be why it was given up.
    pub fn record(&self) -> Result<&R, DecodeError> {
        self.record.as_ref().map_err(|why| DecodeError::Shared(why.clone()))
    }

    /// The same, to keep.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn into_record(self) -> Result<R, DecodeError> {
        self.record.map_err(DecodeError::Shared)
    }

    fn read(fields: &Fields, record: impl FnOnce(&Fields) -> Result<R, DecodeError>) -> Result<Self, DecodeError> {
        let (about, fields) = parts(fields)?;
        let at = i64::try_from(about.at).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
        let record = record(&fields).map_err(Arc::new);
        let LetterAbout { id, processor, error, attempts, crashes, worker, stream, partition, .. } = about;
        Ok(Self { id, stream, partition, processor, error, attempts, crashes, at, worker, fields, record })
    }
}

/// Nobody sends dead letters: processors give events up.
const NOT_SENT: &str =
    "dead letters are what processors give up (on_error = \"dead_letter\"), and nothing is sent to them";

impl<R: Record> Record for DeadLetter<R> {
    const PRIMITIVE: bool = R::PRIMITIVE;

    fn to_fields<C: Codec>(&self, _: &C) -> Result<Fields, EncodeError> {
        Err(EncodeError::refused("a dead letter", NOT_SENT))
    }

    fn from_fields<C: Codec>(fields: &Fields, codec: &C, limits: &Limits) -> Result<Self, DecodeError> {
        Self::read(fields, |original| R::from_fields(original, codec, limits))
    }

    fn from_json(_: &[u8]) -> Result<Self, serde_json::Error> {
        Err(serde::de::Error::custom(NOT_SENT))
    }

    fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        let record = self.record.as_ref().ok().map(Record::to_json).transpose()?;
        Ok(serde_json::json!({
            "id": self.id,
            "stream": self.stream,
            "partition": self.partition,
            "processor": self.processor,
            "error": self.error,
            "attempts": self.attempts,
            "crashes": self.crashes,
            "at": self.at,
            "worker": self.worker,
            "record": record,
        }))
    }
}

/// Reads letters of records that have a codec of their own.
struct Inside<R>(Arc<dyn RecordCodec<R>>);

impl<R: Record> RecordCodec<DeadLetter<R>> for Inside<R> {
    fn write(&self, _: &DeadLetter<R>) -> Result<Fields, EncodeError> {
        Err(EncodeError::refused("a dead letter", NOT_SENT))
    }

    fn read(&self, fields: &Fields, limits: &Limits) -> Result<DeadLetter<R>, DecodeError> {
        DeadLetter::read(fields, |original| self.0.read(original, limits))
    }
}

impl<R: Record> Stream<R> {
    /// The stream of what processors of this one gave up with `on_error = "dead_letter"`: for processors that look after
    /// them. Those default to the policy IGNORE and cannot give up in that way themselves; nothing is sent to it.
    ///
    /// ```
    /// use runnel::prelude::*;
    ///
    /// #[derive(Debug, Serialize, Deserialize)]
    /// struct Order { id: u64 }
    ///
    /// let orders = Stream::new("orders", |o: &Order| o.id.into());
    /// let mut app = App::bare("shop");
    /// app.processor(&orders.dead_letters(), async |letter: DeadLetter<Order>| {
    ///     println!("{} gave up {}: {}", letter.processor, letter.id, letter.error);
    /// })
    /// .name("given_up");
    /// ```
    pub fn dead_letters(&self) -> Stream<DeadLetter<R>> {
        let base = self.declaration().clone();
        let mut spec = base.spec.clone();
        spec.name.push_str(DEAD);
        spec.holds_letters = true;
        let codec = base.own_codec().map(|codec| Arc::new(Inside(codec)) as Arc<dyn RecordCodec<DeadLetter<R>>>);
        let key = move |letter: &DeadLetter<R>| match &letter.record {
            Ok(record) => base.key(record),
            Err(_) => Key::from(letter.id.to_string()),
        };
        Stream::made_of(spec, key, codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        n: u32,
    }

    fn letter(about: &str, data: &str) -> Fields {
        Fields::from_pairs([(ABOUT, about), ("data", data)])
    }

    const SPARSE: &str = r#"{"id":"7-1","processor":"billing"}"#;

    #[test]
    fn a_letter_is_read_also_where_its_event_cannot_be() {
        let read = |data| DeadLetter::<Order>::from_fields(&letter(SPARSE, data), &Json, &Limits::default()).unwrap();

        assert_eq!(read(r#"{"n":3}"#).record().unwrap(), &Order { n: 3 });
        let unreadable = read("no order");
        assert!(unreadable.record().is_err());
        assert_eq!(unreadable.fields().get("data"), Some(&b"no order"[..]));
        assert_eq!((unreadable.id, &*unreadable.processor), (EventId::new(7, 1), "billing"));
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        let no_letters = [
            Fields::from_pairs([("data", "1")]),
            Fields::from_pairs([("data", "1"), (ABOUT, SPARSE)]),
            letter("", "1"),
            letter("{}", "1"),
            letter(r#"{"id":"x","processor":"billing"}"#, "1"),
        ];
        for fields in no_letters {
            assert!(Letter::read(&Entry { id: EventId::new(1, 0), fields }).is_err());
        }
    }

    #[test]
    fn only_the_last_field_marks_a_retried_event() {
        let marked = Fields::from_pairs([("data", "1"), (RETRIED, SPARSE)]);

        let mark = Retried::of(&marked).unwrap();
        assert_eq!((mark.id, &*mark.processor), (EventId::new(7, 1), "billing"));
        assert_eq!(marked.without_last(), Fields::from_pairs([("data", "1")]));
        for other in [Fields::from_pairs([(RETRIED, SPARSE), ("data", "1")]), Fields::from_pairs([(RETRIED, "x")])] {
            assert!(Retried::of(&other).is_none());
        }
    }

    #[test]
    fn a_long_error_is_cut_between_letters() {
        let short = shortened(&"é".repeat(10_000));

        assert_eq!(short.len(), LONGEST_ERROR + "…".len());
        assert_eq!(shortened("brief"), "brief");
    }
}
