//! `runs list | show | retry`: documents of runs.

use chrono::{DateTime, Utc};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indexmap::IndexMap;

use crate::runs::mask::MASK;
use crate::runs::{AttemptLog, Parameter, RunLog, RunLogQuery, Status, StepLog};

use super::ask::{self, Asked, run_argument, run_id};
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let status = text("status", "STATUS", "Only runs that stand like that: fail,crashed");
    let list = Command::new("list")
        .about("Runs, the newest first")
        .arg(text("task", "NAME", "Only runs of that task, timer, crontab, job or processor"))
        .arg(status.action(ArgAction::Append).value_delimiter(',').value_parser(|word: &str| word.parse::<Status>()))
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
            let is_over = Asked::by(matches, host)?.retry(&id).await?;
            match (out.is_json(), is_over) {
                (true, _) => out.object(&serde_json::json!({ "run_id": id })),
                (false, true) => out.line(&format!("run {id} has ended well")),
                (false, false) => out.line(&format!("run {id} is running again: follow it with `logs {id} --follow`")),
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
    let output = run.metadata.as_ref();
    let code = output.and_then(|output| output.exit_code).map(|code| code.to_string()).unwrap_or_default();
    let took_whole = run.runtime.map(|seconds| format!("{seconds:.3}s")).unwrap_or_default();
    let facts = [
        ("run", run.run_id.to_string()),
        ("task", format!("{} ({})", run.task_name, run.kind)),
        ("status", run.status.to_string()),
        ("activation", run.activation.to_string()),
        ("start", when(run.start)),
        ("end", when(run.end)),
        ("took", took_whole),
        ("exit code", code),
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
    for (name, parameter) in &run.parameters {
        out.line(&format!("given {name}: {}", shown(parameter)))?;
    }
    steps(&run.steps, "", out)?;
    for attempt in &run.attempts {
        let AttemptLog { attempt_number, started_at, user_defined_metrics, output_parameters, .. } = attempt;
        let what = format!("attempt {attempt_number}: {}", attempt.status);
        out.line(&said(what, took(attempt), &attempt.message, &when(Some(*started_at))))?;
        for (kind, those) in [("metric", user_defined_metrics), ("output", output_parameters)] {
            for (name, parameter) in those {
                out.line(&format!("  {kind} {name}: {}", shown(parameter)))?;
            }
        }
    }
    Ok(())
}

/// Steps, those of branches below their branch.
fn steps(steps: &IndexMap<String, StepLog>, indent: &str, out: &mut Out) -> Result<(), End> {
    for step in steps.values() {
        let last = step.attempts.last();
        let began = when(last.map(|attempt| attempt.started_at));
        let message = if step.message.is_empty() { last.map_or("", |last| &last.message) } else { &step.message };
        out.line(&said(format!("{indent}step {}: {}", step.name, step.status), last.and_then(took), message, &began))?;
        // What the last attempt says is said above.
        let failed = step.attempts.iter().rev().skip(1).rev().filter(|attempt| !attempt.message.is_empty());
        for attempt in failed {
            out.line(&format!("{indent}  attempt {}: {}", attempt.attempt_number, attempt.message))?;
        }
        for branch in step.branches.values() {
            out.line(&format!("{indent}  branch {}: {}", branch.internal_name, branch.status))?;
            self::steps(&branch.steps, &format!("{indent}    "), out)?;
        }
    }
    Ok(())
}

/// A line about something that was done: how it stands, since when, how long it took, and what it said.
fn said(what: String, took: Option<String>, message: &str, began: &str) -> String {
    let parts = [what.as_str(), began, took.as_deref().unwrap_or_default(), message];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn took(attempt: &AttemptLog) -> Option<String> {
    let took = attempt.finished_at? - attempt.started_at;
    Some(format!("{:.3}s", took.num_milliseconds() as f64 / 1e3))
}

/// A value on one line.
fn shown(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Json(value) => value.to_string(),
        Parameter::Metric(number) => number.to_string(),
        Parameter::Secret(_) => MASK.to_owned(),
    }
}
