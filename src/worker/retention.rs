//! What is old is removed: documents of runs that have ended, and their lines in the task log with them.
//!
//! The leader does it for the fleet, when its term begins and then hourly. Nothing of a run that has not ended is touched.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;

use crate::clock::{self, ServerClock};
use crate::runs::query::ops::{in_, lt};
use crate::runs::stores::LinesHeld;
use crate::runs::{Action, RunId, StoreError, Stores, TaskLog, TaskLogQuery};

use super::leader::Leadership;

const EVERY: Duration = Duration::from_secs(3600);
/// Runs whose lines are removed in one step.
const AT_ONCE: usize = 200;

/// Cleans up while this worker leads. Safe to drop: what was not removed will be, by anybody.
pub(super) async fn watch(stores: Stores, clock: ServerClock, leadership: Leadership) {
    loop {
        let term = leadership.begins().await.term;
        while leadership.may_start(term) {
            let now = i64::try_from(clock.now()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
            match remove_old(&stores, now).await {
                Ok(0) => {}
                Ok(runs) => tracing::info!(runs, "runs that ended long ago were removed from the run log"),
                Err(error) => tracing::warn!(error = %crate::error::chain(&error),
                    "old runs could not be removed from the run log; trying again in an hour"),
            }
            // Both are safe to drop: they only wait.
            tokio::select! {
                () = clock::sleep(EVERY) => {}
                () = leadership.distrusted(term) => {}
            }
        }
    }
}

/// Answers of how many runs something was removed.
async fn remove_old(stores: &Stores, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let purged = stores.run_logs.purge(now).await?;
    if stores.task_log.lines_held() == LinesHeld::InStream {
        return Ok(purged.deleted.len());
    }
    let kept_since =
        stores.run_logs.retention().and_then(|kept| now.checked_sub_signed(chrono::Duration::from_std(kept).ok()?));
    let Some(kept_since) = kept_since else { return Ok(purged.deleted.len()) };
    let mut gone: HashSet<RunId> = purged.deleted.into_iter().collect();
    gone.extend(without_document(stores, kept_since, &gone).await?);
    let ids: Vec<&RunId> = gone.iter().collect();
    for some in ids.chunks(AT_ONCE) {
        let texts = some.iter().map(|id| id.as_str());
        stores.task_log.delete(&TaskLogQuery::new().run_id(in_(texts))).await?;
    }
    Ok(gone.len())
}

/// The runs that ended before then and whose lines alone are left: whoever removed their documents was interrupted.
async fn without_document(
    stores: &Stores,
    kept_since: DateTime<Utc>,
    known: &HashSet<RunId>,
) -> Result<Vec<RunId>, StoreError> {
    let ended = in_([Action::Success, Action::Fail, Action::Terminate, Action::Inaction, Action::Crash]);
    let old = TaskLogQuery::new().action(ended).end(lt(kept_since));
    let mut lines = TaskLog::new(stores.task_log.clone()).filter_by(old).stream();
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while let Some(line) = lines.try_next().await? {
        if known.contains(&line.run_id) || !seen.insert(line.run_id.clone()) {
            continue;
        }
        match stores.run_logs.get_run_log_by_id(&line.run_id, false).await {
            Err(StoreError::RunLogNotFound(id)) => found.push(id),
            // It was resumed, or is kept for a reason of the store's own.
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
