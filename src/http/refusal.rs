//! Questions that are not answered: a status, a word for programs, a sentence for people.
//!
//! What a store or a disk has said is for the log of the worker, not for whoever asks: it may name places and users.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{Failure, chain};
use crate::runs::StoreError;
use crate::runs::output::LogError;

use super::NotRetried;

/// Why there is no answer.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, parameter: None, message: message.into() }
    }

    /// That part of the question cannot be understood.
    pub(super) fn parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { parameter: Some(name.into()), ..Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message) }
    }

    pub(super) fn no_such_run() -> Self {
        Self::new(StatusCode::NOT_FOUND, "run_log_not_found", "there is no such run")
    }

    /// The run is known, its lines are not there any more.
    pub(super) fn pruned() -> Self {
        let why = "the run is known, and what it printed is not kept any more, or never was";
        Self::new(StatusCode::GONE, "log_pruned", why)
    }

    pub(super) fn unreachable(worker: &str, why: &str) -> Self {
        let text =
            format!("the lines are with worker `{worker}`, {why}, and were not copied from there (log_ship_dest)");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "worker_unreachable", text)
    }

    fn failed(what: &'static str, error: &(dyn std::error::Error + 'static), transient: bool) -> Self {
        tracing::warn!(error = %chain(error), "a question over HTTP could not be answered");
        let message = format!("{what} does not do what was asked; the log of the worker says why");
        let status = if transient { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
        Self::new(status, "failed", message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::RunLogNotFound(_) => Self::no_such_run(),
            StoreError::Cursor { .. } => Self::parameter("cursor", error.to_string()),
            StoreError::Query(wrong) => Self::parameter("query", wrong.to_string()),
            StoreError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            error => Self::failed("the run log store", &error, error.is_transient()),
        }
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NotFound { .. } => Self::pruned(),
            error => Self::failed("the store of what runs print", &error, false),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound(why) => Self::new(StatusCode::NOT_FOUND, "not_found", why),
            Failure::Invalid(why) => Self::new(StatusCode::CONFLICT, "refused", why),
            failure => Self::failed("the store", &failure, true),
        }
    }
}

impl From<NotRetried> for Refusal {
    fn from(why: NotRetried) -> Self {
        match why {
            NotRetried::Unknown => Self::no_such_run(),
            NotRetried::Refused(why) => Self::new(StatusCode::CONFLICT, "not_retried", why),
            NotRetried::Unable(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_retried", why),
            NotRetried::Failed(failure) => failure.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, json(&self)).into_response()
    }
}

/// An answer for programs.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
