//! The command line: parse, ask the store, print. It decides nothing.
//!
//! Results go to stdout, logs and errors to stderr. `--output json` has stable field names, those of the types in
//! [`report`] and of each command's own. A program brings the rest as a [`Host`]: its names, its store, how it feeds
//! its streams, and its worker.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::app::Asked;
use crate::broker::Broker;
use crate::error::Failure;
use crate::event::Fields;
use crate::job::JobSpec;
use crate::route::Key;
use crate::runs::output::LogStore;
use crate::runs::{RunId, RunObserver, Stores};
use crate::settings::{Loaded, Overrides};
use crate::worker::jobs::once::Ran;
use crate::worker::replay::{Replay, Replayed};

mod acl;
mod ask;
mod bounds;
mod completions;
mod config;
mod dead;
mod end;
#[cfg(feature = "http")]
mod far;
mod feed;
mod fields;
mod jobs;
mod json_feed;
mod lookup;
mod output;
mod package;
mod processor;
mod program;
mod report;
mod room;
mod run_output;
mod runs;
mod send;
mod status;
mod stream;
mod tail;
mod tasks;
mod workers;

pub(crate) use end::End;
pub(crate) use feed::{FeedOptions, Feeder, Line, LineError};
pub(crate) use output::Out;
pub use package::main;
pub use program::program;

/// What a program calls things, for its help and for misspelt names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// The program: `shop`.
    pub(crate) program: String,
    /// The app; none where `--app` must tell it.
    pub(crate) app: Option<String>,
    /// Processors the program has.
    pub(crate) processors: Vec<String>,
    /// Whether it can run a worker.
    pub(crate) has_worker: bool,
}

/// How the worker was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerArguments {
    /// By name: it then never falls back to another store than the configured one.
    pub(crate) by_name: bool,
    /// Only these processors; empty: all of them.
    pub(crate) processors: Vec<String>,
    /// On whatever store is there.
    pub(crate) dev: bool,
    /// Drains after that time.
    pub(crate) run_for: Option<Duration>,
}

/// Tells the key of a record by its event's fields, if they can be decoded.
pub(crate) type KeyOf = Box<dyn Fn(&Fields) -> Option<Key> + Send + Sync>;

/// What the program brings.
#[async_trait]
pub(crate) trait Host: Send + Sync {
    /// Its names.
    fn names(&self) -> &Names;

    /// Its settings.
    fn settings(&self) -> &Loaded;

    /// The app whose streams are looked at.
    fn app(&self) -> &str;

    /// Its store; opened when a command needs it.
    async fn broker(&self) -> Result<Arc<dyn Broker>, Failure>;

    /// Turns lines of JSON into events of one stream.
    async fn feeder(&self, stream: &str, options: &FeedOptions) -> Result<Box<dyn Feeder>, Failure>;

    /// Tells the keys of a stream's records, or why that cannot be told from here.
    async fn key_of(&self, stream: &str) -> Result<KeyOf, Failure>;

    /// Dead letters that a partition of this stream may hold.
    fn dead_letter_size(&self, _stream: &str) -> u64 {
        self.settings().settings.dead_letter_size
    }

    /// Processes a range once more, with the function of one processor under another name.
    async fn replay(&self, replay: &Replay) -> Result<Replayed, Failure>;

    /// The jobs it has; none where it has no functions.
    fn jobs(&self) -> &[JobSpec] {
        &[]
    }

    /// Runs one of them here and now, with that input, and tells how far it is.
    async fn run_job(&self, name: &str, asked: Asked, observer: Option<Arc<dyn RunObserver>>) -> Result<Ran, Failure>;

    /// Where its runs are kept.
    async fn stores(&self) -> Result<Stores, Failure>;

    /// Where what its runs print is kept on this machine, if anywhere.
    fn log_store(&self) -> Result<Option<Arc<dyn LogStore>>, Failure>;

    /// Begins to run a run again, in this process.
    async fn retry_run(&self, run: &RunId) -> Result<(), Failure> {
        let text = format!("run {run} can be retried by a worker alone: name one with --url");
        Err(Failure::Invalid(text))
    }

    /// Runs the worker until it is told to stop.
    async fn worker(&self, arguments: WorkerArguments) -> Result<(), Failure>;
}

/// The whole command line of a program with these names.
pub(crate) fn command(names: &Names) -> Command {
    let global = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).global(true).help_heading("Settings")
    };
    let mut command = Command::new(names.program.clone())
        .about("Streams, processors and workers of a runnel app")
        .subcommand_required(!names.has_worker)
        .arg_required_else_help(!names.has_worker)
        .arg(
            Arg::new("output")
                .long("output")
                .value_name("FORMAT")
                .value_parser(["table", "json"])
                .default_value("table")
                .global(true)
                .help("Tables for people, or JSON for programs"),
        )
        .arg(global("redis-url", "URL", "Where Redis is"))
        .arg(global("key-prefix", "PREFIX", "What stands before every key"))
        .arg(global("log-level", "LEVEL", "The least level that is logged"))
        .arg(global("set", "NAME=VALUE", "Any other setting").action(ArgAction::Append))
        .subcommands([status::command(), stream::command(), processor::command(), dead::command()])
        .subcommands([jobs::command(), workers::command()])
        .subcommands([run_output::command(), runs::command(), tasks::command()])
        .subcommands([send::one(), send::many(), config::command(), acl::command(), completions::command()]);
    if names.app.is_none() {
        command = command.arg(Arg::new("app").long("app").value_name("NAME").global(true).help("The app's name"));
    }
    if names.has_worker {
        let processors = Arg::new("processors").long("processors").value_name("A,B").value_delimiter(',');
        let worker = Command::new("worker")
            .about("Run the worker")
            .arg(processors.help("Only these processors; jobs run all the same").action(ArgAction::Append));
        command = worker_arguments(command).subcommand(worker_arguments(worker));
    }
    command
}

fn worker_arguments(command: Command) -> Command {
    command
        .arg(Arg::new("dev").long("dev").action(ArgAction::SetTrue).help("Run on whatever Redis is there, or on none"))
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("TIME")
                .value_parser(|text: &str| crate::settings::read_duration(text).ok_or("expected a time like 5s or 2m"))
                .help("Drain after that time"),
        )
}

/// The settings that the command line gives.
pub(crate) fn overrides(matches: &ArgMatches) -> Result<Overrides, End> {
    let mut overrides = Overrides::new();
    for (argument, setting) in [("redis-url", "redis_url"), ("key-prefix", "key_prefix"), ("log-level", "log_level")] {
        if let Some(value) = matches.get_one::<String>(argument) {
            overrides.set(setting, value.as_str());
        }
    }
    for pair in matches.get_many::<String>("set").into_iter().flatten() {
        // The text itself is not repeated: it may hold a password.
        let (name, value) = pair.split_once('=').ok_or_else(|| End::Usage("--set takes NAME=VALUE".into()))?;
        overrides.set(name, value);
    }
    Ok(overrides)
}

/// Where results go: as tables or as JSON, to stdout.
pub(crate) fn stdout(matches: &ArgMatches) -> Out {
    let json = matches.get_one::<String>("output").is_some_and(|format| format == "json");
    Out::new(json, Box::new(std::io::stdout()))
}

/// Does what was asked for.
pub(crate) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    match matches.subcommand() {
        None => Ok(host.worker(worker_asked(matches, false, host.names())?).await?),
        Some(("worker", matches)) => Ok(host.worker(worker_asked(matches, true, host.names())?).await?),
        Some(("status", matches)) => status::run(matches, host, out).await,
        Some(("stream", matches)) => stream::run(matches, host, out).await,
        Some(("processor", matches)) => processor::run(matches, host, out).await,
        Some(("dead", matches)) => dead::run(matches, host, out).await,
        Some(("jobs", matches)) => jobs::run(matches, host, out).await,
        Some(("workers", _)) => workers::run(host, out).await,
        Some(("logs", matches)) => run_output::run(matches, host, out).await,
        Some(("runs", matches)) => runs::run(matches, host, out).await,
        Some(("tasks", matches)) => tasks::run(matches, host, out).await,
        Some(("send", matches)) => send::run_one(matches, host, out).await,
        Some(("sendmany", matches)) => send::run_many(matches, host, out).await,
        Some(("config", _)) => config::run(host.settings(), out),
        Some(("acl", matches)) => acl::run(matches, host, out),
        Some(("completions", matches)) => completions::run(matches, host.names(), out),
        Some((other, _)) => Err(End::Usage(format!("there is no command `{other}`"))),
    }
}

fn worker_asked(matches: &ArgMatches, by_name: bool, names: &Names) -> Result<WorkerArguments, End> {
    let processors: Vec<String> = match by_name {
        true => matches.get_many::<String>("processors").into_iter().flatten().cloned().collect(),
        false => Vec::new(),
    };
    for name in &processors {
        lookup::among("processor", name, &names.processors)?;
    }
    Ok(WorkerArguments {
        by_name,
        processors,
        dev: matches.get_flag("dev"),
        run_for: matches.get_one::<Duration>("for").copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            program: "shop".into(),
            app: Some("shop".into()),
            processors: vec!["billing".into(), "totals".into()],
            has_worker: true,
        }
    }

    fn worker(arguments: &[&str]) -> Result<WorkerArguments, End> {
        let matches = command(&names()).try_get_matches_from([&["shop"], arguments].concat()).unwrap();
        match matches.subcommand() {
            Some(("worker", matches)) => worker_asked(matches, true, &names()),
            _ => worker_asked(&matches, false, &names()),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command(&names()).debug_assert();
        command(&Names { program: "runnel".into(), ..Names::default() }).debug_assert();
    }

    #[test]
    fn the_bare_form_and_the_named_one_take_the_same() {
        let time = Some(Duration::from_secs(5));
        let bare = worker(&["--dev", "--for", "5s"]).unwrap();
        assert_eq!(bare, WorkerArguments { by_name: false, processors: vec![], dev: true, run_for: time });
        let named = worker(&["worker", "--processors", "billing,totals", "--for", "5"]).unwrap();
        let processors = vec!["billing".into(), "totals".into()];
        assert_eq!(named, WorkerArguments { by_name: true, processors, dev: false, run_for: time });
    }

    #[test]
    fn a_misspelt_processor_is_answered_with_the_nearest() {
        let end = worker(&["worker", "--processors", "biling"]).unwrap_err();
        assert_eq!(
            (end.code(), end.to_string().as_str()),
            (3, "there is no processor `biling`; did you mean `billing`?")
        );
    }

    #[test]
    fn settings_on_the_command_line_are_taken_before_and_behind_the_command() {
        let line = ["shop", "--key-prefix", "a-", "status", "--set", "max_crashes=7", "--redis-url", "memory://"];
        let matches = command(&names()).try_get_matches_from(line).unwrap();
        let given = overrides(matches.subcommand().unwrap().1).unwrap();
        let expected =
            Overrides::new().with("redis_url", "memory://").with("key_prefix", "a-").with("max_crashes", "7");
        assert!(given == expected, "{given:?}");
        assert!(overrides(&matches).unwrap() == expected);
    }
}
