//! What is known of earlier runs: their documents, and what happened since they were projected.
//!
//! The projection lags behind the stream, and a run may be resumed a moment after it failed. So the document is read
//! first, and then what the partition of its task holds after the document's last event is applied to it, by the same
//! reducer. Nothing of the partition is cut before it is projected, so together they are the whole.

use serde_json::{Map, Value};

use crate::codec::{Json, Limits};
use crate::error::{Doing, Failure};
use crate::event::{Entry, EventId};
use crate::job::InputSpec;
use crate::record::Record;
use crate::runs::{
    Action, Input, NewRunLog, Parameter, RunEvent, RunId, RunLog, RunLogQuery, RunLogStore, StoreError, TASKS,
    TaskLogEvent,
};
use crate::stream::Bound;
use crate::stream::current::Handle;

/// Where earlier runs are known from.
pub(crate) struct Past<'a> {
    pub(crate) run_logs: Option<&'a dyn RunLogStore>,
    pub(crate) stream: Option<&'a Handle>,
}

/// Events read at once.
const PAGE: usize = 1000;

impl Past<'_> {
    /// The newest run of a task.
    pub(crate) async fn newest(&self, task: &str) -> Result<Option<RunLog>, Failure> {
        let known = match self.run_logs {
            None => None,
            Some(store) => {
                let query = RunLogQuery::new().task(task).limit(1);
                let newest = store.get_run_logs(&query).await.map_err(unread)?.items.pop();
                match newest {
                    Some(header) => self.stored(store, &header.run_id).await?,
                    None => None,
                }
            }
        };
        let after = known.as_ref().and_then(|log| log.last_entry).unwrap_or(EventId::ZERO);
        let mut newest = known;
        self.each_after(task, after, |entry, event| {
            // What began after the newest run so far is the newest from there on; of older runs nothing is asked.
            let is_it = newest.as_ref().is_some_and(|log| log.run_id == *event.run_id());
            if !is_it && begins(&event) {
                newest = Some(RunLog::from(NewRunLog::from(&event)));
            }
            if let Some(log) = &mut newest {
                let _applied = log.apply(entry, &event);
            }
        })
        .await?;
        Ok(newest)
    }

    /// That run of a task.
    pub(crate) async fn run(&self, task: &str, run_id: &RunId) -> Result<Option<RunLog>, Failure> {
        let mut log = match self.run_logs {
            Some(store) => self.stored(store, run_id).await?,
            None => None,
        };
        if log.as_ref().is_some_and(|log| log.task_name != task) {
            return Ok(None);
        }
        let after = log.as_ref().and_then(|log| log.last_entry).unwrap_or(EventId::ZERO);
        self.each_after(task, after, |entry, event| {
            if event.run_id() == run_id {
                let log = log.get_or_insert_with(|| RunLog::from(NewRunLog::from(&event)));
                let _applied = log.apply(entry, &event);
            }
        })
        .await?;
        Ok(log)
    }

    /// How often an activation of that run has begun behind that event: that one, or a later one.
    pub(crate) async fn begins_since(
        &self,
        task: &str,
        run_id: &RunId,
        activation: u32,
        seen: EventId,
    ) -> Result<usize, Failure> {
        let mut begins = 0;
        self.each_after(task, seen, |_, event| {
            let line = event.as_task().filter(|line| line.run_id == *run_id && line.action == Action::Run);
            begins += usize::from(line.is_some_and(|line| line.activation >= activation));
        })
        .await?;
        Ok(begins)
    }

    async fn stored(&self, store: &dyn RunLogStore, run_id: &RunId) -> Result<Option<RunLog>, Failure> {
        match store.get(run_id).await {
            Ok(log) => Ok(Some(log)),
            Err(StoreError::RunLogNotFound(_)) => Ok(None),
            Err(error) => Err(unread(error)),
        }
    }

    /// Calls `each` for every event of the task after that one, in order.
    async fn each_after(
        &self,
        task: &str,
        after: EventId,
        mut each: impl FnMut(EventId, RunEvent),
    ) -> Result<(), Failure> {
        let Some(handle) = self.stream else { return Ok(()) };
        let doing = || format!("read the task log of `{task}`");
        // Where its events lie, an event of it says best.
        let probe = TaskLogEvent::new(task, Action::Run, RunId::fresh());
        let (stream, probe) = Bound::new(&TASKS, handle.clone()).entry(RunEvent::Task(probe)).await?;
        let mut from = after.next();
        loop {
            let page =
                handle.broker().range(&stream, probe.partition, from, EventId::MAX, PAGE, false).await.doing(doing)?;
            for Entry { id, fields } in &page {
                match RunEvent::from_fields(fields, &Json, &Limits::default()) {
                    Ok(event) if event.task_name() == task => each(*id, event),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%id, %error, "an event of the task log cannot be read, and is left out")
                    }
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = last.id.next(),
                _ => return Ok(()),
            }
        }
    }
}

fn unread(error: StoreError) -> Failure {
    Failure::RunLogStore(error.into())
}

fn begins(event: &RunEvent) -> bool {
    event.as_task().is_some_and(|line| line.action == Action::Run && line.activation == 1)
}

/// The job that a run is one of, wherever it is known.
pub(crate) async fn task_of(past: &Past<'_>, jobs: &[&str], run_id: &RunId) -> Result<Option<String>, Failure> {
    if let Some(store) = past.run_logs
        && let Some(log) = past.stored(store, run_id).await?
    {
        return Ok(Some(log.task_name));
    }
    for job in jobs {
        if past.run(job, run_id).await?.is_some() {
            return Ok(Some((*job).to_owned()));
        }
    }
    Ok(None)
}

/// What a run was given, with the secrets that whoever resumes it gives again.
///
/// # Errors
/// The name of a secret that nobody gives.
pub(super) fn input_of(log: &RunLog, specs: &[InputSpec], new: &Input) -> Result<Map<String, Value>, String> {
    let is_whole = specs.iter().any(|spec| spec.name.is_none());
    let is_known = |name: &str| is_whole || specs.iter().any(|spec| spec.name == Some(name));
    let given = log.parameters.iter().filter(|(name, _)| is_known(name));
    given
        .map(|(name, parameter)| {
            let value = match parameter {
                Parameter::Json(value) => value.clone(),
                Parameter::Metric(number) => Value::Number(number.clone()),
                Parameter::Secret(_) => new.values.get(name).cloned().ok_or_else(|| name.clone())?,
            };
            Ok((name.clone(), value))
        })
        .collect()
}
