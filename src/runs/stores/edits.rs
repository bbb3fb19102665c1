//! What each way to write makes of a document, or of its absence: the same for every store that changes a document as a
//! whole. The store sees to it that nobody else writes meanwhile, or asks again.

use super::{Change, StoreError};
use crate::event::EventId;
use crate::runs::{Applied, NewRunLog, RunEvent, RunId, RunLog};

/// What is to be written; none, if nothing is.
type Edited = Result<Option<RunLog>, StoreError>;

/// A document that must not be there.
pub(super) fn create(log: &RunLog) -> impl FnMut(Option<RunLog>) -> Edited + Send {
    move |known| match known {
        Some(known) => Err(StoreError::RunLogExists(known.run_id)),
        None => Ok(Some(log.clone())),
    }
}

/// This document, over the one that is there.
pub(super) fn put(log: &RunLog) -> impl FnMut(Option<RunLog>) -> Edited + Send {
    move |known| Ok(Some(known.map_or_else(|| log.clone(), |known| log.clone().over(known))))
}

/// A document that must be there.
pub(super) fn update<'a>(id: &'a RunId, change: Change<'a>) -> impl FnMut(Option<RunLog>) -> Edited + Send + 'a {
    move |known| {
        let mut log = known.ok_or_else(|| StoreError::RunLogNotFound(id.clone()))?;
        Ok(change(&mut log)?.then_some(log))
    }
}

/// An event, also of a run that nobody has heard of. `applied` is what became of it.
pub(super) fn apply<'a>(
    entry: EventId,
    event: &'a RunEvent,
    applied: &'a mut Applied,
) -> impl FnMut(Option<RunLog>) -> Edited + Send + 'a {
    move |known| {
        let mut log = known.unwrap_or_else(|| NewRunLog::from(event).into());
        *applied = log.apply(entry, event);
        Ok((*applied == Applied::Changed).then_some(log))
    }
}
