//! Where a range begins and ends, as a person writes it: an id or a time.

use chrono::DateTime;

use crate::event::EventId;
use crate::settings::shown;

use super::End;

/// The beginning or the end of a range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// This id.
    Id(EventId),
    /// This instant, in Unix milliseconds.
    Time(u64),
}

impl Bound {
    /// The first id of a range that begins here.
    pub(super) fn first(self) -> EventId {
        match self {
            Self::Id(id) => id,
            Self::Time(ms) => EventId::new(ms, 0),
        }
    }

    /// The last id of a range that ends here: an id belongs to it, an instant does not, so that ranges of time can follow
    /// each other without an overlap.
    pub(super) fn last(self) -> EventId {
        match self {
            Self::Id(id) => id,
            Self::Time(ms) => ms.checked_sub(1).map_or(EventId::ZERO, |before| EventId::new(before, u64::MAX)),
        }
    }
}

/// The first and the last id of a range; everything where nothing is said.
///
/// # Errors
/// A range that ends before it begins is a mistake: as a range without anything in it, it would look like an answer.
pub(super) fn range(from: Option<Bound>, to: Option<Bound>) -> Result<(EventId, EventId), End> {
    let (first, last) = (from.map_or(EventId::ZERO, Bound::first), to.map_or(EventId::MAX, Bound::last));
    match from.is_some() && first > last {
        true => Err(End::Usage("--to lies before --from: nothing can lie between them".into())),
        false => Ok((first, last)),
    }
}

/// Reads an id like `1795315492410-0` or a time like `2026-11-22T10:00:00Z`.
pub(super) fn read_bound(text: &str) -> Result<Bound, String> {
    if let Some(id) = EventId::parse(text.as_bytes()) {
        return Ok(Bound::Id(id));
    }
    let time = DateTime::parse_from_rfc3339(text).ok().and_then(|time| u64::try_from(time.timestamp_millis()).ok());
    time.map(Bound::Time).ok_or_else(|| {
        format!("`{}` is neither an id like `1795315492410-0` nor a time like `2026-11-22T10:00:00Z`", shown(text))
    })
}

/// Reads an id.
pub(super) fn read_id(text: &str) -> Result<EventId, String> {
    EventId::parse(text.as_bytes()).ok_or_else(|| format!("`{}` is no id like `1795315492410-0`", shown(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_belong_to_their_range_and_the_instant_of_its_end_does_not() {
        let id = read_bound("7-3").unwrap();
        assert_eq!((id.first(), id.last()), (EventId::new(7, 3), EventId::new(7, 3)));

        let time = read_bound("1970-01-01T01:00:01+01:00").unwrap();
        assert_eq!((time.first(), time.last()), (EventId::new(1000, 0), EventId::new(999, u64::MAX)));
        assert_eq!(read_bound("1970-01-01T00:00:00Z").unwrap().last(), EventId::ZERO);
    }

    #[test]
    fn what_is_neither_is_refused_with_examples() {
        for text in ["yesterday", "", "-1", "1969-12-31T23:59:59Z", "2026-11-22"] {
            assert!(read_bound(text).unwrap_err().contains("neither an id like"), "{text}");
        }
        assert!(read_id("2026-11-22T10:00:00Z").unwrap_err().contains("no id"));
    }
}
