//! `tasks log | state`: the task log of one task.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::runs::{Action, TaskLogEvent};

use super::ask::{self, Asked};
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    let named = |name: &'static str, about: &'static str| {
        let task = Arg::new("task").value_name("NAME").required(true);
        Command::new(name).about(about).arg(task.help("A task, timer, crontab, job or processor")).arg(ask::url())
    };
    let action = Arg::new("action").long("action").value_name("ACTION").value_delimiter(',').action(ArgAction::Append);
    let limit = Arg::new("limit").long("limit").value_name("N").default_value("20");
    Command::new("tasks")
        .about("The task log: what happened to a task, and how it stands")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            named("log", "Its last lines")
                .arg(
                    action
                        .value_parser(|word: &str| word.parse::<Action>())
                        .help("Only those: run, success, fail, terminate, inaction, crash"),
                )
                .arg(limit.value_parser(value_parser!(u16).range(1..=1000)).help("At most so many")),
        )
        .subcommand(named("state", "How it stands: its last run, success and failure, and what runs now"))
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    match matches.subcommand() {
        Some(("state", matches)) => state(matches, host, out).await,
        Some((_, matches)) => log(matches, host, out).await,
        None => Ok(()),
    }
}

fn task(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("task").expect("clap asks for the task")
}

async fn log(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let actions: Vec<Action> = matches.get_many("action").into_iter().flatten().copied().collect();
    let limit = matches.get_one::<u16>("limit").copied().unwrap_or(20);
    let lines = Asked::by(matches, host)?.lines(task(matches), &actions, limit.into()).await?;
    if out.is_json() {
        return out.object(&lines);
    }
    if lines.is_empty() {
        return out.line("the task log has no such lines");
    }
    let rows = lines.iter().map(|line| {
        let TaskLogEvent { action, run_id, worker_id, message, exc_text, .. } = line;
        let at = chrono::DateTime::from_timestamp_micros((line.created * 1e6) as i64);
        let why = exc_text.as_deref().and_then(|text| text.lines().next()).unwrap_or(message);
        let took = line.runtime.map(|seconds| format!("{seconds:.3}s")).unwrap_or_default();
        [super::runs::when(at), action.to_string(), run_id.to_string(), took, worker_id.clone(), why.to_owned()]
    });
    out.table(["AT", "ACTION", "RUN", "TOOK", "WORKER", "MESSAGE"], rows)
}

async fn state(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let state = Asked::by(matches, host)?.state(task(matches)).await?;
    if out.is_json() {
        return out.object(&state);
    }
    for (name, value) in state.as_object().into_iter().flatten() {
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(runs) => runs.iter().filter_map(|run| run.as_str()).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        out.line(&format!("{name:<15} {text}"))?;
    }
    Ok(())
}
