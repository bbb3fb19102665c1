//! Documents of runs: which there are, one of them, how it stands, its attempts; and a run once more.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json as value;

use crate::runs::query::Range;
use crate::runs::{RunId, RunLogQuery, Status};

use super::parameters::Parameters;
use super::place::Place;
use super::refusal::json;
use super::{Api, NotRetried, Refusal, run_id};

/// `GET /api/job_runs`: headers of documents, a page of them.
pub(super) async fn list(State(api): State<Api>, mut given: Parameters) -> Result<Response, Refusal> {
    let mut query = RunLogQuery::new().limit(given.limit(RunLogQuery::MAX_LIMIT)?.unwrap_or(100));
    query.task_name = given.text("task_name")?;
    query.tag = given.text("tag")?;
    let status = given.list("status", |word| word.parse::<Status>().map_err(|error| error.to_string()))?;
    query.status = status.unwrap_or_default();
    query.run_ids = given.list("run_ids", |id| id.parse::<RunId>().map_err(|error| error.to_string()))?;
    let (from, to) = (given.time("created_ge")?, given.time("created_lt")?);
    query.created = Range {
        from: from.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Included),
        to: to.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
    };
    query.cursor = given.text("cursor")?;
    given.nothing_else(&["task_name", "tag", "status", "run_ids", "created_ge", "created_lt", "limit", "cursor"])?;
    let page = api.stores()?.run_logs.get_run_logs(&query).await?;
    Ok(json(&value!({ "items": page.items, "next": page.next })))
}

/// `GET /api/job_runs/{id}`: a document.
pub(super) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    mut given: Parameters,
) -> Result<Response, Refusal> {
    let id = run_id(&id)?;
    let full = given.truth("full")?;
    given.nothing_else(&["full"])?;
    Ok(json(&api.document(&id, full).await?))
}

/// `GET /api/job_runs/{id}/attempts`: what each attempt did.
pub(super) async fn attempts(
    State(api): State<Api>,
    Path(id): Path<String>,
    given: Parameters,
) -> Result<Response, Refusal> {
    let id = run_id(&id)?;
    given.nothing_else(&[])?;
    Ok(json(&value!({ "items": api.document(&id, true).await?.attempts })))
}

/// `GET /api/job_runs/{id}/metadata`: how its output stands.
pub(super) async fn metadata(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    given: Parameters,
) -> Result<Response, Refusal> {
    let id = run_id(&id)?;
    given.nothing_else(&[])?;
    match api.place_of(&id, &headers).await {
        Ok(Place::Here(logs)) => Ok(json(&logs.read_metadata(&id).await?.ok_or_else(Refusal::pruned)?)),
        Ok(Place::There { worker, url }) => {
            let path = format!("/api/job_runs/{id}/metadata");
            api.pass_on((&worker, &url), &path, &uri, &headers).await
        }
        // The document may know what the store of lines does not.
        Err(refusal) => match api.document(&id, true).await?.metadata {
            Some(metadata) => Ok(json(&metadata)),
            None => Err(refusal),
        },
    }
}

/// `POST /api/job_runs/{id}/retry`: runs it again in this worker, from where it failed. Answered when it has begun.
pub(super) async fn retry(
    State(api): State<Api>,
    Path(id): Path<String>,
    given: Parameters,
) -> Result<Response, Refusal> {
    let id = run_id(&id)?;
    given.nothing_else(&[])?;
    let document = api.document(&id, false).await?;
    // Whether it runs still, the log itself says better than its document, which may lag behind.
    if matches!(document.status, Status::Success | Status::Inaction) {
        return Err(NotRetried::Refused(format!("run {id} has ended well")).into());
    }
    let Some(retry) = &api.0.retry else {
        let why = "what answers here is no worker, and only workers retry runs: ask one of them, or use `runs retry`";
        return Err(NotRetried::Refused(why.into()).into());
    };
    retry.retry(&id, &document.task_name).await?;
    Ok((StatusCode::ACCEPTED, json(&value!({ "run_id": id }))).into_response())
}
