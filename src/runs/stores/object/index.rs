//! How documents in a bucket are found: by empty objects whose names say when a run began, which one it is, and how it
//! stands.
//!
//! `_index/<yyyy-mm-dd>/<microseconds>~<run>~<n>~<status>~<tag>~<task>`. It is put before the document is written, and
//! the one of before is removed after it, so that a document always has one; it may have one too many, where a writer
//! was killed or was too slow. So what is found is read, and only what is read counts. `n` is drawn anew with each
//! change of what the name says: a name that is removed late is never that of a newer state.

use chrono::{DateTime, NaiveDate};

use crate::runs::query::Place;
use crate::runs::stores::files::encoded;
use crate::runs::{RunId, RunLog, RunLogQuery};

/// The folder of all of them. No run is called like this.
pub(super) const FOLDER: &str = "_index";

/// The name of the entry of a document as it is.
pub(super) fn name(log: &RunLog, n: u64) -> String {
    format!("{}{n}~{}~{}~{}", beginning(log), log.status, encoded(&log.tag), encoded(&log.task_name))
}

/// What all entries of a document begin with.
pub(super) fn beginning(log: &RunLog) -> String {
    let Place { created, run_id } = Place::of(log);
    format!("{FOLDER}/{}/{created:020}~{run_id}~", log.created_at.format("%Y-%m-%d"))
}

/// Whether two states of a document have the same entry, but for its number.
pub(super) fn is_same(a: &RunLog, b: &RunLog) -> bool {
    name(a, 0) == name(b, 0)
}

/// What an entry says.
pub(super) struct Entry {
    pub(super) place: Place,
    status: String,
    tag: String,
    task: String,
}

impl Entry {
    /// Reads the last part of a name. Nothing if it is none of ours.
    pub(super) fn read(name: &str) -> Option<Self> {
        let mut parts = name.split('~');
        let created = parts.next()?.parse().ok()?;
        let run_id: RunId = parts.next()?.parse().ok()?;
        let _n: u64 = parts.next()?.parse().ok()?;
        let status = parts.next()?.to_owned();
        // An encoded name that was cut has a `~` of its own.
        let rest: Vec<&str> = parts.collect();
        let at = match rest.len() {
            2 => 1,
            3 if is_digest(rest[1]) => 2,
            3 => 1,
            4 => 2,
            _ => return None,
        };
        let (tag, task) = (rest[..at].join("~"), rest[at..].join("~"));
        Some(Self { place: Place { created, run_id }, status, tag, task })
    }

    /// Whether the document may be one of those that are asked for.
    pub(super) fn may_match(&self, query: &RunLogQuery) -> bool {
        query.task_name.as_deref().is_none_or(|name| encoded(name) == self.task)
            && query.tag.as_deref().is_none_or(|tag| encoded(tag) == self.tag)
            && (query.status.is_empty() || query.status.iter().any(|status| status.as_str() == self.status))
            && DateTime::from_timestamp_micros(self.place.created).is_none_or(|time| {
                // A document knows more than microseconds.
                query.created.contains(time) || query.created.contains(time + chrono::TimeDelta::nanoseconds(999))
            })
    }
}

/// What a cut name ends with behind its `~`.
fn is_digest(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

/// Whether a day can hold what is asked for.
pub(super) fn is_within(day: &str, query: &RunLogQuery, cursor: Option<&Place>) -> bool {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let Ok(day) = day.parse::<NaiveDate>() else { return false };
    let date = |bound| match bound {
        Included(time) | Excluded(time) => Some(DateTime::<chrono::Utc>::date_naive(&time)),
        Unbounded => None,
    };
    let (mut from, mut to) = (date(query.created.from), date(query.created.to));
    let cursor = cursor.and_then(|place| DateTime::from_timestamp_micros(place.created)).map(|time| time.date_naive());
    if let Some(cursor) = cursor {
        match query.order {
            crate::runs::Order::NewestFirst => to = Some(to.map_or(cursor, |to| to.min(cursor))),
            crate::runs::Order::OldestFirst => from = Some(from.map_or(cursor, |from| from.max(cursor))),
        }
    }
    from.is_none_or(|from| day >= from) && to.is_none_or(|to| day <= to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{NewRunLog, Status};

    #[test]
    fn an_entry_says_what_its_document_says() {
        for (tag, task) in
            [("", "load"), ("nightly ä/~", "a~b"), ("t".repeat(300).as_str(), "load"), ("", &"x~".repeat(200))]
        {
            let log = RunLog { tag: tag.into(), ..NewRunLog::new("r-1".parse().unwrap(), task).into() };
            let name = name(&log, 7);
            let entry = Entry::read(name.rsplit('/').next().unwrap()).unwrap();

            assert_eq!(entry.place, Place::of(&log));
            let query = RunLogQuery::new().task(task).tag(tag).status(Status::Created).created(log.created_at..);
            assert!(entry.may_match(&query), "{name}");
            assert!(!entry.may_match(&RunLogQuery::new().tag("other")), "{name}");
            assert!(!entry.may_match(&RunLogQuery::new().task("other")), "{name}");
        }
    }
}
