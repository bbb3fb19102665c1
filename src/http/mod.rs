//! What ran and what it printed, over HTTP: JSON, text, and lines as they are printed (server-sent events).
//!
//! It promises that it shows nobody's text as anything but text (there is no HTML here), that a question that cannot be
//! understood is refused by the name of what is wrong with it, and that what lies on another worker's disk is fetched
//! from there. It decides nothing about runs. Who may ask is for [`guard`]; connections are for [`listen`].
//!
//! A worker answers at the address that setting `http` names; any other program can nest
//! [`Connected::http`](crate::Connected::http) into its own routes.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Instant;
use crate::error::Failure;
use crate::runs::output::LogStore;
use crate::runs::{InvalidRunId, RunId, Stores};
use crate::settings::{Secret, TaskLogPolicy};
use crate::stream::current::Handle;

pub(crate) mod announced;
pub(crate) mod client;
mod figures;
mod guard;
mod lines;
pub(crate) mod listen;
mod parameters;
mod place;
mod refusal;
mod runs;
mod task_log;

use refusal::Refusal;

/// Says that a request came from another worker, which must not be sent on: two of them could send it round for ever.
const HOP: &str = "x-runnel-hop";

/// Begins to run a run again that has failed or crashed.
#[async_trait]
pub(crate) trait Retry: Send + Sync {
    /// Answers when it has begun, not when it has ended. It goes on whatever becomes of whoever asked.
    async fn retry(&self, run: &RunId, task_name: &str) -> Result<(), NotRetried>;
}

/// Why a run was not begun again.
#[derive(Debug)]
pub(crate) enum NotRetried {
    /// There is no such run.
    Unknown,
    /// It cannot be: it runs, it has ended well, it is none of a job that could be.
    Refused(String),
    /// Not here and now: the worker drains, or the run cannot be written down.
    Unable(String),
    /// The store did not do what was asked.
    Failed(Failure),
}

/// What is asked.
#[derive(Clone)]
pub(crate) struct Api(Arc<Asked>);

struct Asked {
    handle: Handle,
    /// None where there is no task log.
    stores: Option<Stores>,
    logs: Option<Arc<dyn LogStore>>,
    version: String,
    /// Everything of the app that runs.
    tasks: Vec<String>,
    /// The worker that answers, if it is one.
    worker: Option<Arc<str>>,
    token: Secret,
    retry: Option<Arc<dyn Retry>>,
    /// Cancelled: streams end.
    closing: CancellationToken,
    /// The last figures, and when they were gathered.
    figures: tokio::sync::Mutex<Option<(Instant, String)>>,
}

/// Who answers.
#[derive(Default)]
pub(crate) struct Answering {
    pub(crate) worker: Option<Arc<str>>,
    pub(crate) retry: Option<Arc<dyn Retry>>,
    pub(crate) closing: CancellationToken,
}

impl Api {
    /// What this app has run, and can be asked for.
    pub(crate) async fn of(app: &App, handle: Handle, answering: Answering) -> Result<Self, Failure> {
        let settings = handle.settings();
        let stores = match settings.task_log_policy {
            TaskLogPolicy::Off => None,
            _ => Some(app.stores().await?),
        };
        let logs = app.keeping(settings)?.map(|keeping| keeping.store().clone());
        let jobs = app.jobs.iter().map(|job| job.name.clone());
        let mut tasks: Vec<String> = app.processors.iter().map(|spec| spec.name.clone()).chain(jobs).collect();
        tasks.sort();
        let Answering { worker, retry, closing } = answering;
        Ok(Self(Arc::new(Asked {
            stores,
            logs,
            version: app.version.clone(),
            tasks,
            worker,
            token: settings.http_token.clone(),
            retry,
            closing,
            figures: tokio::sync::Mutex::default(),
            handle,
        })))
    }

    /// All questions and where they are answered.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(figures::healthz))
            .route("/metrics", get(figures::metrics))
            .route("/api/summary", get(figures::summary))
            .route("/api/task_log", get(task_log::list))
            .route("/api/tasks/{name}/state", get(task_log::state))
            .route("/api/job_runs", get(runs::list))
            .route("/api/job_runs/{id}", get(runs::show))
            .route("/api/job_runs/{id}/metadata", get(runs::metadata))
            .route("/api/job_runs/{id}/attempts", get(runs::attempts))
            .route("/api/job_runs/{id}/retry", post(runs::retry))
            .route("/api/job_runs/{id}/logs/{channel}", get(lines::lines))
            .fallback(nothing_here)
            .method_not_allowed_fallback(no_such_method)
            .layer(from_fn_with_state(self.clone(), guard::guard))
            .with_state(self)
    }

    fn stores(&self) -> Result<&Stores, Refusal> {
        let off = "the task log is off (task_log_policy), so nothing is known of runs";
        self.0.stores.as_ref().ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "task_log_off", off))
    }

    fn logs(&self) -> Option<&Arc<dyn LogStore>> {
        self.0.logs.as_ref()
    }
}

/// The run that a path names.
fn run_id(text: &str) -> Result<RunId, Refusal> {
    text.parse().map_err(|wrong: InvalidRunId| Refusal::parameter("id", wrong.to_string()))
}

async fn nothing_here() -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address").into_response()
}

async fn no_such_method() -> Response {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address takes another method")
        .into_response()
}
