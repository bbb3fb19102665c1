//! Where commands about runs get their answers: from a worker over HTTP, or from the app's own stores.

use std::sync::Arc;

use clap::{Arg, ArgMatches};
use serde_json::Value;

use crate::error::Failure;
use crate::runs::output::LogStore;
use crate::runs::query::ops::in_;
use crate::runs::{
    Action, RunId, RunLog, RunLogQuery, Status, StoreError, Stores, TaskLog, TaskLogEvent, TaskLogQuery,
};

#[cfg(feature = "http")]
use super::far::Far;
use super::{End, Host};

/// `--url`, of commands about runs.
pub(super) fn url() -> Arg {
    Arg::new("url").long("url").value_name("URL").help("Ask there (RUNNEL_API_URL), and not the app's own stores")
}

/// Who is asked.
pub(super) enum Asked<'a> {
    #[cfg(feature = "http")]
    Far(Far),
    Own(Own<'a>),
}

/// The app's own stores.
pub(super) struct Own<'a> {
    host: &'a dyn Host,
}

impl<'a> Asked<'a> {
    pub(super) fn by(matches: &ArgMatches, host: &'a dyn Host) -> Result<Self, End> {
        let settings = &host.settings().settings;
        let url = matches.get_one::<String>("url").cloned().unwrap_or_else(|| settings.api_url.clone());
        if url.is_empty() {
            return Ok(Self::Own(Own { host }));
        }
        #[cfg(feature = "http")]
        return Ok(Self::Far(Far::new(url, settings.http_token.clone())));
        #[cfg(not(feature = "http"))]
        Err(End::Usage("--url needs the feature `http`, without which this program was built".into()))
    }

    /// Headers of documents, the newest first.
    pub(super) async fn runs(&self, query: &RunLogQuery) -> Result<Vec<RunLog>, End> {
        match self {
            #[cfg(feature = "http")]
            Self::Far(far) => far.runs(query).await,
            Self::Own(own) => {
                let page = own.stores().await?.run_logs.get_run_logs(query).await;
                Ok(page.map_err(failed)?.items)
            }
        }
    }

    /// A document in full.
    pub(super) async fn run(&self, id: &RunId) -> Result<RunLog, End> {
        match self {
            #[cfg(feature = "http")]
            Self::Far(far) => far.run(id).await,
            Self::Own(own) => own.stores().await?.run_logs.get(id).await.map_err(failed),
        }
    }

    /// The last lines about a task, in their order.
    pub(super) async fn lines(&self, task: &str, actions: &[Action], limit: usize) -> Result<Vec<TaskLogEvent>, End> {
        let mut lines = match self {
            #[cfg(feature = "http")]
            Self::Far(far) => far.lines(task, actions, limit).await?,
            Self::Own(own) => {
                let mut query = TaskLogQuery::new().task(task).newest_first().limit(limit);
                if !actions.is_empty() {
                    query = query.action(in_(actions.iter().copied()));
                }
                own.stores().await?.task_log.query(&query).await.map_err(failed)?
            }
        };
        lines.reverse();
        Ok(lines)
    }

    /// How a task stands.
    pub(super) async fn state(&self, task: &str) -> Result<Value, End> {
        match self {
            #[cfg(feature = "http")]
            Self::Far(far) => far.state(task).await,
            Self::Own(own) => {
                let state = TaskLog::new(own.stores().await?.task_log).of_task(task).state().await.map_err(failed)?;
                serde_json::to_value(state).map_err(|error| End::Unwritten(error.into()))
            }
        }
    }

    /// Has a run run again. Answers whether that is over: in this process it is, in a worker it has begun.
    pub(super) async fn retry(&self, id: &RunId) -> Result<bool, End> {
        match self {
            #[cfg(feature = "http")]
            Self::Far(far) => far.retry(id).await.map(|()| false),
            Self::Own(own) => Ok(own.host.retry_run(id).await.map(|()| true)?),
        }
    }
}

impl Own<'_> {
    pub(super) async fn stores(&self) -> Result<Stores, Failure> {
        let stores = self.host.stores().await?;
        // Ours would be empty: what a worker has in its memory, only the worker can tell.
        if stores.run_logs.service_name() == "memory" {
            return Err(Failure::Invalid(
                "runs are kept in the memory of the app's workers: ask one of them with --url (setting `http` makes it \
                 answer), or name a `run_log_store` that lasts"
                    .into(),
            ));
        }
        Ok(stores)
    }

    pub(super) fn logs(&self) -> Result<Option<Arc<dyn LogStore>>, Failure> {
        self.host.log_store()
    }
}

/// What the store could not do.
pub(super) fn failed(error: StoreError) -> End {
    match error {
        StoreError::RunLogNotFound(id) => no_such_run(&id),
        StoreError::Config { .. } => Failure::Invalid(error.to_string()).into(),
        error => Failure::RunLogStore(error.into()).into(),
    }
}

pub(super) fn no_such_run(id: &RunId) -> End {
    Failure::NotFound(format!("there is no run {id}; `runs list` lists them")).into()
}

/// The run that an argument names.
pub(super) fn run_id(matches: &ArgMatches) -> RunId {
    matches.get_one::<RunId>("run").expect("clap asks for the run").clone()
}

pub(super) fn run_argument() -> Arg {
    Arg::new("run").value_name("RUN_ID").required(true).value_parser(|text: &str| text.parse::<RunId>())
}

/// The exit code that tells how a run ended: its own, if it has one.
pub(super) fn code_of(exit_code: Option<i32>, status: Status) -> u8 {
    match exit_code {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None if matches!(status, Status::Success | Status::Inaction) => 0,
        None => 1,
    }
}
