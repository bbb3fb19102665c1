//! A user's program: the command line over their own app, whose types are known.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use clap::ArgMatches;
use tokio::sync::OnceCell;

use crate::app::connection::Connection;
use crate::app::{App, Asked};
use crate::broker::Broker;
use crate::error::{Doing, Failure};
use crate::event::EventId;
use crate::job::JobSpec;
use crate::logs::{self, BesideLayer};
use crate::nearest::did_you_mean;
use crate::runs::output::LogStore;
use crate::runs::output::capture::filtered_layer;
use crate::runs::{RunId, RunObserver, Stores};
use crate::settings::{Loaded, Settings, TaskLogPolicy};
use crate::stream::current::{self, Handle};
use crate::stream::json::JsonStream;
use crate::worker;
use crate::worker::jobs::once::{Ran, run_once};
use crate::worker::replay::{Replay, Replayed};
use crate::worker::run_log::project_all;
use crate::worker::serve::{Serving, serve};

use super::dead::no_keys;
use super::feed::why_no_record;
use super::json_feed::JsonFeeder;
use super::package::{finish, parse};
use super::{End, FeedOptions, Feeder, Host, KeyOf, Line, LineError, Names, WorkerArguments, overrides, run, stdout};

/// Runs an app's program: the worker, or the command its arguments name.
///
/// Without a command it runs the worker on the configured `redis_url`, or, where none is configured anywhere, on
/// whatever Redis is at hand, as `--dev` does. `worker` by name never falls back. `--help` lists the commands.
///
/// Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 69 Redis unavailable, 70 halted.
pub fn program(app: App) -> ExitCode {
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    let program = program.as_deref().and_then(|path| path.file_stem()).map(|name| name.to_string_lossy().into_owned());
    let names = Names {
        program: program.unwrap_or_else(|| app.name().to_owned()),
        app: Some(app.name().to_owned()),
        processors: app.processors.iter().map(|processor| processor.name.clone()).collect(),
        has_worker: true,
    };
    let matches = match parse(&names, std::env::args_os()) {
        Ok(matches) => matches,
        Err(code) => return code,
    };
    finish(start(&matches, names, app))
}

fn start(matches: &ArgMatches, names: Names, app: App) -> Result<(), End> {
    let loaded = app.settings(&overrides(matches)?)?;
    // Beside what is logged: what is kept of runs.
    let captured = match app.keeping(&loaded.settings)? {
        Some(_) => {
            let Settings { run_log_level, run_log_format, .. } = &loaded.settings;
            Some(Box::new(filtered_layer(run_log_level, *run_log_format)?) as BesideLayer)
        }
        None => None,
    };
    logs::install_beside(&loaded.settings, captured)?;
    let warnings = loaded.warnings.iter().cloned().chain(app.sections_of_nobody(&loaded.sections));
    warnings.for_each(|warning| tracing::warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let program = Program { names, loaded, app, store: OnceCell::new() };
    runtime.block_on(run(matches, &program, &mut stdout(matches)))
}

struct Program {
    names: Names,
    loaded: Loaded,
    app: App,
    store: OnceCell<Connection>,
}

impl Program {
    async fn connection(&self) -> Result<&Connection, Failure> {
        self.store.get_or_try_init(|| Connection::open(&self.app, &self.loaded, None)).await
    }

    /// Brings what this process has written of runs to their store, if nobody else ever could: on `memory://` the
    /// stream of runs ends with the process, and their store need not.
    async fn keep_what_ran(&self) -> Result<(), Failure> {
        let connection = self.connection().await?;
        if connection.facts.product != "memory" || self.loaded.settings.task_log_policy == TaskLogPolicy::Off {
            return Ok(());
        }
        project_all(&**connection.handle.broker(), &self.app.stores().await?).await
    }
}

#[async_trait]
impl Host for Program {
    fn names(&self) -> &Names {
        &self.names
    }

    fn settings(&self) -> &Loaded {
        &self.loaded
    }

    fn app(&self) -> &str {
        self.app.name()
    }

    async fn broker(&self) -> Result<Arc<dyn Broker>, Failure> {
        Ok(self.connection().await?.handle.broker().clone())
    }

    async fn feeder(&self, stream: &str, options: &FeedOptions) -> Result<Box<dyn Feeder>, Failure> {
        let handle = self.connection().await?.handle.clone();
        let typed = self.app.typed.iter().find(|typed| typed.spec().name == stream).cloned();
        if let Some(stream) = typed {
            if options.key.is_some() || options.partition.is_some() {
                return Err(Failure::Invalid(format!(
                    "stream `{}` places its records by its own key: leave --key and --partition out",
                    stream.spec().name
                )));
            }
            return Ok(Box::new(TypedFeeder { stream, handle }));
        }
        // A stream that is in Redis, and that this program does not declare, can be fed as any other program would.
        match handle.broker().stream(stream).await {
            Ok(Some(_)) => {
                let broker = handle.broker().clone();
                Ok(Box::new(JsonFeeder::new(broker, stream, options, &self.loaded.settings).await?))
            }
            Err(error) => Err(error).doing(|| format!("look up stream `{stream}`")),
            Ok(None) => {
                let near = did_you_mean(stream, self.app.streams.iter().map(|stream| stream.name.as_str()));
                Err(Failure::NotFound(format!("app `{}` has no stream `{stream}`{near}", self.app.name())))
            }
        }
    }

    async fn key_of(&self, stream: &str) -> Result<KeyOf, Failure> {
        let handle = self.connection().await?.handle.clone();
        let typed = self.app.typed.iter().find(|typed| typed.spec().name == stream).cloned();
        let typed = typed.ok_or_else(|| no_keys(stream, &self.names.program))?;
        Ok(Box::new(move |fields| typed.key(&handle, fields).ok()))
    }

    fn dead_letter_size(&self, stream: &str) -> u64 {
        let declared = self.app.streams.iter().find(|spec| spec.name == stream);
        let own = declared.and_then(|spec| spec.dead_letter_size);
        own.unwrap_or(self.loaded.settings.dead_letter_size)
    }

    async fn replay(&self, replay: &Replay) -> Result<Replayed, Failure> {
        let handle = &self.connection().await?.handle;
        current::bind_process(handle.clone());
        worker::replay::replay(&self.app, handle, replay).await
    }

    fn jobs(&self) -> &[JobSpec] {
        &self.app.jobs
    }

    async fn run_job(&self, name: &str, asked: Asked, observer: Option<Arc<dyn RunObserver>>) -> Result<Ran, Failure> {
        let ran = run_once(&self.app, self.connection().await?.handle.clone(), name, asked, observer).await;
        self.keep_what_ran().await?;
        ran
    }

    async fn stores(&self) -> Result<Stores, Failure> {
        self.connection().await?;
        self.app.stores().await
    }

    async fn retry_run(&self, run: &RunId) -> Result<(), Failure> {
        self.connection().await?;
        let report = self.app.retry_run(run).await;
        self.keep_what_ran().await?;
        report?.into_result().map(drop).map_err(|failed| Failure::Invalid(failed.to_string()))
    }

    fn log_store(&self) -> Result<Option<Arc<dyn LogStore>>, Failure> {
        Ok(self.app.keeping(&self.loaded.settings)?.map(|keeping| keeping.store().clone()))
    }

    async fn worker(&self, arguments: WorkerArguments) -> Result<(), Failure> {
        let mut loaded = self.loaded.clone();
        if arguments.dev {
            loaded.settings.redis_url = None;
        }
        let fallback = (arguments.dev || !arguments.by_name).then_some("auto://");
        let serving = Serving { processors: arguments.processors, fallback, run_for: arguments.run_for };
        serve(&self.app, &loaded, serving).await
    }
}

/// Feeds a stream whose record type is known.
struct TypedFeeder {
    stream: Arc<dyn JsonStream>,
    handle: Handle,
}

#[async_trait]
impl Feeder for TypedFeeder {
    fn check(&self, line: &Line) -> Result<(), LineError> {
        let bad = |error| LineError::Bad { line: line.number, why: why_no_record(&error) };
        self.stream.check(&line.text).map_err(bad)
    }

    async fn send(&self, lines: &[Line]) -> Result<Vec<EventId>, LineError> {
        let Some(first) = lines.first() else { return Ok(Vec::new()) };
        let records: Vec<Vec<u8>> = lines.iter().map(|line| line.text.clone()).collect();
        let sent = self.stream.send(&self.handle, &records).await;
        sent.map_err(|source| LineError::Unsent { line: first.number, source: Box::new(source) })
    }
}
