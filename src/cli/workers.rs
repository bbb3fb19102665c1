//! `workers`: who is alive, and what each says of itself.

use clap::Command;
use serde::Serialize;
use serde_json::Value;

use crate::broker::WorkerEntry;
use crate::error::Doing;

use super::output::instant;
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    Command::new("workers").about("The workers that are alive")
}

/// One worker.
#[derive(Debug, Serialize)]
pub(super) struct WorkerReport {
    name: String,
    /// It counts as dead then, unless it is heard of again.
    dead_after: String,
    /// What it says of itself.
    about: Value,
}

impl WorkerReport {
    pub(super) fn of(entry: &WorkerEntry) -> Self {
        let about = serde_json::from_str(&entry.about).unwrap_or_else(|_| Value::from(entry.about.clone()));
        Self { name: entry.name.clone(), dead_after: instant(entry.dead_after), about }
    }
}

pub(super) async fn run(host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let broker = host.broker().await?;
    let workers = broker.workers().await.doing(|| "list the workers".into())?;
    let workers: Vec<WorkerReport> = workers.iter().map(WorkerReport::of).collect();
    match out.is_json() {
        true => out.object(&workers),
        false if workers.is_empty() => out.line("no worker is alive"),
        false => print(&workers, out),
    }
}

pub(super) fn print(workers: &[WorkerReport], out: &mut Out) -> Result<(), End> {
    out.table(
        ["WORKER", "ALIVE UNTIL", "ABOUT"],
        workers.iter().map(|worker| [worker.name.clone(), worker.dead_after.clone(), brief(&worker.about)]),
    )
}

/// The plain facts among what a worker says: `host=a pid=7`.
fn brief(about: &Value) -> String {
    let Value::Object(facts) = about else { return about.as_str().map_or_else(String::new, str::to_owned) };
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    let shown = facts.iter().filter_map(|(name, value)| Some(format!("{name}={}", plain(value)?)));
    shown.collect::<Vec<_>>().join(" ")
}
