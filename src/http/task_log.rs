//! `GET /api/task_log`: lines of the task log. A condition is `field=value`, or `field__op=value`.

use axum::extract::State;
use axum::response::Response;
use serde_json::json as value;
use uuid::Uuid;

use crate::runs::query::Condition;
use crate::runs::{FilterError, TaskLogQuery};

use super::parameters::Parameters;
use super::refusal::json;
use super::{Api, Refusal};

/// The longest answer.
const MOST: usize = 1000;

pub(super) async fn list(State(api): State<Api>, mut given: Parameters) -> Result<Response, Refusal> {
    let limit = given.limit(MOST)?.unwrap_or(100);
    let order = given.read("order", "`newest` or `oldest`", |word| match word {
        "newest" => Some(true),
        "oldest" => Some(false),
        _ => None,
    })?;
    let after = given.read("after", "the event_id of a line", |id| id.parse::<Uuid>().ok())?;
    let mut query = TaskLogQuery::new().limit(limit);
    if order.unwrap_or(true) {
        query = query.newest_first();
    }
    if let Some(line) = after {
        query = query.after(line);
    }
    for (name, text) in given.rest() {
        let (field, op) = name.split_once("__").unwrap_or((&name, "eq"));
        let refused = |error: FilterError| Refusal::parameter(crate::settings::shown(&name), told(&error));
        query = query.with(Condition::parse(field, op, &text).map_err(refused)?);
    }
    let lines = api.stores()?.task_log.query(&query).await?;
    let next = lines.last().filter(|_| lines.len() == limit).map(|line| line.event_id);
    Ok(json(&value!({ "items": lines, "next": next })))
}

fn told(error: &FilterError) -> String {
    crate::error::chain(error)
}
