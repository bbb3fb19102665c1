//! Whether it lives, what it is, and figures for whoever watches.
//!
//! A run's id never becomes a label: each would be a series of its own, for ever.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json as value;

use crate::clock;
use crate::error::{Doing, Failure};
use crate::runs::query::ops::in_;
use crate::runs::{Action, Status, StoreError, Stores, TaskLog, TaskLogQuery};

use super::parameters::Parameters;
use super::refusal::json;
use super::{Api, Refusal};

/// Figures this old are told again: who asks often does not make the store work for each.
const FRESH: Duration = Duration::from_secs(5);

/// `GET /healthz`: this process answers.
pub(super) async fn healthz() -> Response {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], "ok\n").into_response()
}

/// `GET /api/summary`: which app this is, and where its runs are kept.
pub(super) async fn summary(State(api): State<Api>, given: Parameters) -> Result<Response, Refusal> {
    given.nothing_else(&[])?;
    let stores = api.0.stores.as_ref();
    Ok(json(&value!({
        "app": api.0.handle.app(),
        "version": api.0.version,
        "runnel": env!("CARGO_PKG_VERSION"),
        "worker": api.0.worker.as_deref(),
        "tasks": api.0.tasks,
        "run_log_store": stores.map(|stores| stores.run_logs.summary()),
        "task_log": stores.map(|stores| stores.task_log.summary()),
        "keeps_output": api.logs().is_some(),
    })))
}

/// `GET /metrics`: in the text form of Prometheus.
pub(super) async fn metrics(State(api): State<Api>, given: Parameters) -> Result<Response, Refusal> {
    given.nothing_else(&[])?;
    // Held while gathering: who comes meanwhile waits, and is told the same.
    let mut last = api.0.figures.lock().await;
    let text = match &*last {
        Some((at, text)) if clock::now().since(*at) < FRESH => text.clone(),
        _ => {
            let text = gathered(&api).await?;
            *last = Some((clock::now(), text.clone()));
            text
        }
    };
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn gathered(api: &Api) -> Result<String, Refusal> {
    let mut info = Family::gauge("runnel_info", "What answers.");
    let app = api.0.handle.app();
    info.add(&[("app", app), ("version", &api.0.version), ("runnel", env!("CARGO_PKG_VERSION"))], 1);
    let mut text = info.text;
    for family in of_streams(api).await? {
        text.push_str(&family.text);
    }
    if let Some(stores) = &api.0.stores {
        text.push_str(&of_runs(stores, &api.0.tasks).await?.text);
    }
    Ok(text)
}

async fn of_streams(api: &Api) -> Result<[Family; 3], Failure> {
    let mut events = Family::gauge("runnel_stream_events", "Events that lie in a stream.");
    let mut lag = Family::gauge("runnel_processor_lag_events", "Events behind the positions of a processor.");
    let mut stopped = Family::gauge("runnel_processor_stopped_partitions", "Partitions that are stopped for a processor.");
    let broker = api.0.handle.broker();
    for name in broker.streams().await.doing(|| "list the streams".into())? {
        let doing = || format!("look at stream `{name}`");
        let Some(facts) = broker.stream(&name).await.doing(doing)? else { continue };
        let partitions = broker.survey(&Arc::new(facts)).await.doing(doing)?;
        events.add(&[("stream", &name)], partitions.iter().map(|partition| partition.length).sum());
        let mut of_each = std::collections::BTreeMap::<&str, (Option<u64>, u64)>::new();
        for group in partitions.iter().flat_map(|partition| &partition.groups).filter(|group| group.registered) {
            let (behind, stops) = of_each.entry(&group.name).or_insert((Some(0), 0));
            // What is unknown somewhere is unknown: no figure is better than a wrong one.
            *behind = behind.zip(group.lag).map(|(sum, lag)| sum.saturating_add(lag));
            *stops += u64::from(group.fence.as_ref().is_some_and(|fence| fence.stop.is_some()));
        }
        for (processor, (behind, stops)) in of_each {
            let labels = [("stream", &*name), ("processor", processor)];
            behind.iter().for_each(|behind| lag.add(&labels, *behind));
            stopped.add(&labels, stops);
        }
    }
    Ok([events, lag, stopped])
}

/// How many runs there are in the task log: as many as it is kept for.
async fn of_runs(stores: &Stores, tasks: &[String]) -> Result<Family, StoreError> {
    let mut runs = Family::gauge("runnel_runs", "Activations of runs in the task log, by how they stand.");
    let log = TaskLog::new(stores.task_log.clone());
    for task in tasks {
        let mut open = count(&log, task, Action::Run).await?;
        for action in Action::ALL.iter().copied().filter(|action| action.is_terminal()) {
            let ended = count(&log, task, action).await?;
            // Each that began has exactly one end, or none yet.
            open = open.saturating_sub(ended);
            runs.add(&[("task_name", task), ("status", action.status().as_str())], ended);
        }
        runs.add(&[("task_name", task), ("status", Status::Processing.as_str())], open);
    }
    Ok(runs)
}

async fn count(log: &TaskLog, task: &str, action: Action) -> Result<u64, StoreError> {
    log.filter_by(TaskLogQuery::new().task(task).action(in_([action]))).count().await
}

/// Series of one name.
struct Family {
    name: &'static str,
    text: String,
}

impl Family {
    fn gauge(name: &'static str, help: &str) -> Self {
        Self { name, text: format!("# HELP {name} {help}\n# TYPE {name} gauge\n") }
    }

    fn add(&mut self, labels: &[(&str, &str)], value: u64) {
        let _ = write!(self.text, "{}{{", self.name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(self.text, "{comma}{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_forge_a_series() {
        let mut family = Family::gauge("x", "Help.");
        family.add(&[("a", "b\"} 1\nevil{c=\"\\")], 7);
        assert_eq!(family.text, "# HELP x Help.\n# TYPE x gauge\nx{a=\"b\\\"} 1\\nevil{c=\\\"\\\\\"} 7\n");
    }
}
