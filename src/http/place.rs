//! Where the lines of a run are: here, with the worker that ran it, or nowhere any more.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use crate::runs::output::{Channel, LogError, LogStore, StreamOptions};
use crate::runs::{RunId, RunLog, StoreError};

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
        // First our own: it knows of a run before its document is there, and after it is gone.
        if let Some(logs) = self.logs()
            && has_log(&**logs, run).await?
        {
            return Ok(Place::Here(logs.clone()));
        }
        let document = self.document(run, false).await?;
        let worker = document.worker;
        let is_ours = self.0.worker.as_deref() == Some(&*worker.id);
        if is_ours || headers.contains_key(HOP) {
            return Err(Refusal::pruned());
        }
        match announced::address_of(&worker, &**self.0.handle.broker()).await? {
            Ok(url) => Ok(Place::There { worker: worker.id, url }),
            Err(why) => Err(Refusal::unreachable(&worker.id, why)),
        }
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

/// Whether the store has ever heard of the run.
async fn has_log(logs: &dyn LogStore, run: &RunId) -> Result<bool, Refusal> {
    if logs.read_metadata(run).await?.is_some() {
        return Ok(true);
    }
    let first = logs.stream(run, Channel::Stdout, StreamOptions::last(1)).next().await;
    Ok(!matches!(first, Some(Err(LogError::NotFound { .. }))))
}
