//! `runs list | show | retry`: documents of runs.

use chrono::{DateTime, Utc};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::runs::{RunLog, RunLogQuery, Status};

use super::ask::{self, Asked, run_argument, run_id};
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let status = text("status", "STATUS", "Only runs that stand like that: fail, processing, ..; may be given again");
    let list = Command::new("list")
        .about("Runs, the newest first")
        .arg(text("task", "NAME", "Only runs of that task, timer, crontab, job or processor"))
        .arg(status.action(ArgAction::Append).value_parser(|word: &str| word.parse::<Status>()))
        .arg(text("tag", "TAG", "Only runs filed under that"))
        .arg(
            text("limit", "N", "At most so many").default_value("20").value_parser(value_parser!(u16).range(1..=1000)),
        );
    Command::new("runs")
        .about("What ran: list, show, retry")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(list.arg(ask::url()))
        .subcommand(Command::new("show").about("All that is known of a run").arg(run_argument()).arg(ask::url()))
        .subcommand(
            Command::new("retry")
                .about("Run a run again that has failed or crashed, from where it failed")
                .arg(run_argument())
                .arg(ask::url()),
        )
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    match matches.subcommand() {
        Some(("show", matches)) => show(matches, host, out).await,
        Some(("retry", matches)) => {
            let id = run_id(matches);
            Asked::by(matches, host)?.retry(&id).await?;
            match out.is_json() {
                true => out.object(&serde_json::json!({ "run_id": id })),
                false => out.line(&format!("run {id} is running again: follow it with `logs {id} --follow`")),
            }
        }
        Some((_, matches)) => list(matches, host, out).await,
        None => Ok(()),
    }
}

async fn list(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let limit = matches.get_one::<u16>("limit").copied().unwrap_or(20);
    let mut query = RunLogQuery::new().limit(limit.into());
    query.task_name = matches.get_one("task").cloned();
    query.tag = matches.get_one("tag").cloned();
    query.status = matches.get_many("status").into_iter().flatten().copied().collect();
    let runs = Asked::by(matches, host)?.runs(&query).await?;
    if out.is_json() {
        return out.object(&runs);
    }
    if runs.is_empty() {
        return out.line("there are no such runs");
    }
    let rows = runs.iter().map(|run| {
        let RunLog { run_id, task_name, kind, status, worker, tag, .. } = run;
        [
            run_id.to_string(),
            task_name.clone(),
            kind.to_string(),
            status.to_string(),
            when(run.start),
            run.runtime.map(|seconds| format!("{seconds:.3}s")).unwrap_or_default(),
            worker.id.clone(),
            tag.clone(),
        ]
    });
    out.table(["RUN", "TASK", "KIND", "STATUS", "START", "TOOK", "WORKER", "TAG"], rows)
}

pub(super) fn when(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()).unwrap_or_default()
}

async fn show(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let run = Asked::by(matches, host)?.run(&run_id(matches)).await?;
    if out.is_json() {
        return out.object(&run);
    }
    let took = run.runtime.map(|seconds| format!("{seconds:.3}s")).unwrap_or_default();
    let facts = [
        ("run", run.run_id.to_string()),
        ("task", format!("{} ({})", run.task_name, run.kind)),
        ("status", run.status.to_string()),
        ("activation", run.activation.to_string()),
        ("start", when(run.start)),
        ("end", when(run.end)),
        ("took", took),
        ("worker", run.worker.id.clone()),
        ("tag", run.tag.clone()),
        ("message", run.message.clone()),
    ];
    for (name, text) in facts.iter().filter(|(_, text)| !text.is_empty()) {
        out.line(&format!("{name:<11} {text}"))?;
    }
    for line in run.exc_text.iter().flat_map(|text| text.lines()) {
        out.line(&format!("  {line}"))?;
    }
    for step in run.steps.values() {
        out.line(&format!("step {}: {} {}", step.name, step.status, step.message))?;
    }
    for attempt in &run.attempts {
        out.line(&format!("attempt {}: {} {}", attempt.attempt_number, attempt.status, attempt.message))?;
    }
    Ok(())
}
