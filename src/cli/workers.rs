//! `workers`: who is alive, and what each says of itself.

use clap::Command;
use serde::Serialize;
use serde_json::Value;

use crate::broker::{LeaderEntry, WorkerEntry};
use crate::error::Doing;

use super::output::instant;
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    Command::new("workers").about("The workers that are alive")
}

/// The fact that is a time, in Unix milliseconds.
const STARTED: &str = "started";

/// One worker.
#[derive(Debug, Serialize)]
pub(super) struct WorkerReport {
    name: String,
    /// It counts as dead then, unless it is heard of again.
    dead_after: String,
    /// The term in which it leads the fleet, if it does.
    leads_in_term: Option<u64>,
    /// What it says of itself.
    about: Value,
}

impl WorkerReport {
    pub(super) fn of(entry: &WorkerEntry, leader: Option<&LeaderEntry>) -> Self {
        let about = serde_json::from_str(&entry.about).unwrap_or_else(|_| Value::from(entry.about.clone()));
        let leads_in_term = leader.filter(|leader| leader.worker == entry.name).map(|leader| leader.term.0);
        Self { name: entry.name.clone(), dead_after: instant(entry.dead_after), leads_in_term, about }
    }
}

pub(super) async fn run(host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let broker = host.broker().await?;
    let workers = broker.workers().await.doing(|| "list the workers".into())?;
    let leader = broker.leader().await.doing(|| "look who leads".into())?;
    let workers: Vec<WorkerReport> = workers.iter().map(|worker| WorkerReport::of(worker, leader.as_ref())).collect();
    match out.is_json() {
        true => out.object(&workers),
        false if workers.is_empty() => out.line("no worker is alive"),
        false => print(&workers, out),
    }
}

pub(super) fn print(workers: &[WorkerReport], out: &mut Out) -> Result<(), End> {
    out.table(
        ["WORKER", "ALIVE UNTIL", "LEADS", "ABOUT"],
        workers.iter().map(|worker| {
            let leads = worker.leads_in_term.map(|term| format!("term {term}")).unwrap_or_default();
            [worker.name.clone(), worker.dead_after.clone(), leads, brief(&worker.about)]
        }),
    )
}

/// The plain facts among what a worker says: `host=a pid=7 started=2026-11-22T10:00:00.000Z`.
fn brief(about: &Value) -> String {
    let Value::Object(facts) = about else { return about.as_str().map_or_else(String::new, str::to_owned) };
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    let fact = |(name, value): (&String, &Value)| {
        let time = value.as_u64().filter(|_| name == STARTED).map(instant);
        Some(format!("{name}={}", time.or_else(|| plain(value))?))
    };
    let shown = facts.iter().filter_map(fact);
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_worker_says_of_itself_is_shown_as_people_read_it() {
        let about = json!({"host": "a", "jobs": {"ping": 1}, "pid": 7, "started": 1_795_341_600_000_u64, "http": null});

        assert_eq!(brief(&about), "host=a pid=7 started=2026-11-22T10:00:00.000Z");
        assert_eq!(brief(&json!({"started": "noon", "pid": 1_795_341_600_000_u64})), "pid=1795341600000 started=noon");
        assert_eq!(brief(&json!("an older worker")), "an older worker");
    }
}
