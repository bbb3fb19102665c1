//! Where the lines of a run are: here, with the worker that ran it, or nowhere any more.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use crate::runs::output::{Channel, LogError, LogStore, StreamOptions};
use crate::runs::{RunId, RunLog, StoreError, WorkerRef};

use super::client::{self, Wish};
use super::{Api, HOP, Refusal, announced};

/// Where the lines of a run are.
pub(super) enum Place {
    /// In our own store, which may be where logs are shipped to.
    Here(Arc<dyn LogStore>),
    /// With a worker that announces this address.
    There { worker: String, url: String },
}

impl Api {
    /// Where the lines of that run are.
    pub(super) async fn place_of(&self, run: &RunId, headers: &HeaderMap) -> Result<Place, Refusal> {
        let is_passed_on = headers.contains_key(HOP);
        // First our own: it knows of a run before its document is there, and after it is gone. But the run may have been
        // resumed elsewhere since.
        let known = match self.logs() {
            Some(logs) => log_of(&**logs, run).await?.map(|activation| (logs, activation)),
            None => None,
        };
        let document = match known {
            Some((logs, _)) if is_passed_on => return Ok(Place::Here(logs.clone())),
            Some((logs, activation)) => match self.document(run, false).await {
                Ok(document) if self.is_elsewhere(&document, activation) => document,
                _ => return Ok(Place::Here(logs.clone())),
            },
            None => self.document(run, false).await?,
        };
        let worker = document.worker;
        if is_passed_on || self.is_ours(&worker) {
            return Err(Refusal::pruned());
        }
        match announced::address_of(&worker, &**self.0.handle.broker()).await? {
            Ok(url) => Ok(Place::There { worker: worker.id, url }),
            Err(why) => Err(Refusal::unreachable(&worker.id, why)),
        }
    }

    fn is_ours(&self, worker: &WorkerRef) -> bool {
        self.0.worker.as_deref() == Some(&*worker.id)
    }

    /// Whether another worker has resumed the run after what our log of it says.
    fn is_elsewhere(&self, document: &RunLog, activation: Option<u32>) -> bool {
        activation.is_some_and(|ours| ours < document.activation) && !self.is_ours(&document.worker)
    }

    /// The document of that run.
    pub(super) async fn document(&self, run: &RunId, full: bool) -> Result<RunLog, Refusal> {
        let found = self.stores()?.run_logs.get_run_log_by_id(run, full).await;
        found.map_err(|error: StoreError| error.into())
    }

    /// The same question, with the token that came with it, to the worker that can answer it; and its answer as it comes.
    pub(super) async fn pass_on(
        &self,
        (worker, url): (&str, &str),
        path: &str,
        uri: &Uri,
        asked: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let mut headers = HeaderMap::from_iter([(header::HeaderName::from_static(HOP), HeaderValue::from_static("1"))]);
        for name in [header::ACCEPT, header::AUTHORIZATION, header::HeaderName::from_static("last-event-id")] {
            headers.extend(asked.get(&name).map(|value| (name, value.clone())));
        }
        let path = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let answer = client::ask(url, Wish { method: Method::GET, path: &path, headers }).await.map_err(|error| {
            tracing::debug!(worker, url, error = %crate::error::chain(&error), "a worker cannot be asked");
            Refusal::unreachable(worker, "which does not answer")
        })?;
        let (parts, body) = answer.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).cloned();
        let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let until = self.0.closing.clone().cancelled_owned();
        let body = Body::from_stream(body.into_data_stream().take_until(Box::pin(until)));
        Ok((parts.status, [(header::CONTENT_TYPE, kind)], body).into_response())
    }
}

/// Whether the store has ever heard of the run; with the activation that its log is about, if it says that.
async fn log_of(logs: &dyn LogStore, run: &RunId) -> Result<Option<Option<u32>>, Refusal> {
    if let Some(metadata) = logs.read_metadata(run).await? {
        return Ok(Some(Some(metadata.activation)));
    }
    let first = logs.stream(run, Channel::Stdout, StreamOptions::last(1)).next().await;
    Ok(match first {
        Some(Err(LogError::NotFound { .. })) => None,
        _ => Some(None),
    })
}
