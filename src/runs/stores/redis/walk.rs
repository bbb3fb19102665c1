//! A walk along an index of documents, page by page, in the order of lists of runs.

use std::ops::Bound::{Excluded, Included, Unbounded};

use chrono::{DateTime, Utc};

use super::{AT_ONCE, failed};
use crate::broker::redis::records::{Records, Span};
use crate::runs::query::Place;
use crate::runs::{Order, RunId, RunLogQuery, StoreError};

/// A walk along an index.
pub(super) struct Walk {
    span: Span,
    done: bool,
}

impl Walk {
    pub(super) fn over(query: &RunLogQuery, behind: Option<&Place>) -> Self {
        // Both ends included, to the microsecond: what is too much is left out when it is read.
        let place = |bound| match bound {
            Included(time) | Excluded(time) => Some(DateTime::<Utc>::timestamp_micros(&time)),
            Unbounded => None,
        };
        let (mut from, mut to) = (place(query.created.from), place(query.created.to));
        let backwards = query.order == Order::NewestFirst;
        if let Some(cursor) = behind {
            match backwards {
                true => to = Some(to.map_or(cursor.created, |to| to.min(cursor.created))),
                false => from = Some(from.map_or(cursor.created, |from| from.max(cursor.created))),
            }
        }
        let count = (query.page_size() + 1).min(AT_ONCE);
        Self { span: Span { from, to, backwards, skip: 0, count }, done: false }
    }

    /// The next runs. None: it is at the end.
    pub(super) async fn next(&mut self, records: &Records, index: &str) -> Result<Vec<RunId>, StoreError> {
        if self.done {
            return Ok(Vec::new());
        }
        let found = records.index(index, &self.span).await.map_err(failed)?;
        self.done = found.len() < self.span.count;
        if let Some((_, last)) = found.last() {
            // From that place on again, but for those of it that were seen.
            let seen = found.iter().rev().take_while(|(_, place)| place == last).count();
            let begin = if self.span.backwards { &mut self.span.to } else { &mut self.span.from };
            let same = *begin == Some(*last);
            *begin = Some(*last);
            self.span.skip = if same { self.span.skip + seen } else { seen };
        }
        self.span.count = AT_ONCE;
        // What is no run id was put there by a foreign hand.
        Ok(found.into_iter().filter_map(|(id, _)| id.parse().ok()).collect())
    }
}
