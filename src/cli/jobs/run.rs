//! `jobs run JOB [VALUE..] [--input JSON]`: runs it in this process, and shows how far it is.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::app::Asked;
use crate::error::Error;
use crate::runs::{AttemptLog, Parameters, Progress, RunContext, RunId, RunObserver};

use super::super::{End, Host, Out};

pub(super) fn arguments(command: Command) -> Command {
    command
        .arg(
            Arg::new("values")
                .value_name("VALUE")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help("Its input, in the order of its parameters; options of this command go before"),
        )
        .arg(
            Arg::new("input")
                .long("input")
                .value_name("JSON")
                .conflicts_with("values")
                .help("Its input, as an object by the names of its parameters"),
        )
}

fn asked(matches: &ArgMatches) -> Result<Asked, End> {
    let Some(text) = matches.get_one::<String>("input") else {
        return Ok(Asked::InOrder(matches.get_many::<String>("values").into_iter().flatten().cloned().collect()));
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(values)) => Ok(Asked::ByName(values)),
        // The text itself is not repeated: it may hold a password.
        Ok(_) => Err(End::Usage("--input takes an object: --input '{\"day\": \"2026-11-22\"}'".into())),
        Err(error) => Err(End::Usage(format!("--input is no JSON: {error}"))),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    job: &'a str,
    /// `success`, `inaction`, `fail` or `terminate`.
    action: &'static str,
    /// The reason or the error.
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a RunId>,
    /// How often it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Parameters>,
    /// The earlier run that was finished first.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_first: Option<&'a RunId>,
}

pub(super) async fn run(matches: &ArgMatches, name: &str, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let bars: Option<Arc<dyn RunObserver>> = match std::io::stderr().is_terminal() && !out.is_json() {
        true => Some(Arc::new(Bars::default())),
        false => None,
    };
    let ran = host.run_job(name, asked(matches)?, bars).await?;
    let (ended, report) = (&ran.ended, ran.report.as_ref());
    let finished_first = report.and_then(|report| report.pending.as_ref()).map(|pending| &pending.run_id);
    let action = ended.action().as_str();
    let message = (action != "success").then(|| ended.to_string());
    let run_id = report.map(|report| &report.run_id);
    if out.is_json() {
        let (attempts, output) = (report.map(|report| report.attempts.len()), report.map(|report| &report.output));
        out.object(&Shown { job: name, action, message, run_id, attempts, output, finished_first })?;
    } else {
        if let Some(finished) = finished_first {
            out.line(&format!("run {finished} had been left unfinished, and was finished first"))?;
        }
        if ended.is_well() {
            let which = run_id.map(|id| format!(" (run {id})")).unwrap_or_default();
            out.line(&format!("job {name}: {ended}{which}"))?;
        }
    }
    if ended.is_well() {
        return Ok(());
    }
    let again = match report {
        // What was not started has no run to be resumed.
        Some(report) if !report.attempts.is_empty() => format!(" (run {})", report.run_id),
        _ => String::new(),
    };
    Err(End::Refused(format!("job `{name}` has failed: {ended}{again}")))
}

/// A bar for each thing that the run counts.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    by_name: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    fn show(&self, progress: &Progress) {
        let mut bars = self.by_name.lock().expect("no code panics while it holds this lock");
        for counter in &progress.counters {
            let bar = bars.entry(counter.name.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::no_length());
                bar.set_prefix(counter.name.clone());
                bar
            });
            let template = match counter.total {
                Some(_) => "{prefix} [{bar:30}] {human_pos}/{human_len} {msg}",
                None => "{prefix} {human_pos} {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            if let Some(total) = counter.total {
                bar.set_length(total);
            }
            bar.set_position(counter.count);
            bar.set_message(format!("{:.1}/s", counter.rate));
        }
    }
}

#[async_trait]
impl RunObserver for Bars {
    async fn on_log(&self, progress: &Progress) -> Result<(), Error> {
        self.show(progress);
        Ok(())
    }

    async fn on_retry(&self, _: &RunContext, attempt: &AttemptLog, _: u32, _: bool, _: &Error) -> Result<(), Error> {
        // Above the bars, which stay.
        let _ = self.all.println(format!("attempt {} failed: {}", attempt.attempt_number, attempt.message));
        Ok(())
    }

    async fn on_after(&self, _: &RunContext, _: &AttemptLog) -> Result<(), Error> {
        let bars = self.by_name.lock().expect("no code panics while it holds this lock");
        bars.values().for_each(ProgressBar::abandon);
        Ok(())
    }
}
