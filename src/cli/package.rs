//! The package's own program, `runnel --app NAME ...`: everything that needs no types, for any app.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use clap::ArgMatches;
use tokio::sync::OnceCell;

use crate::app::{App, Asked};
use crate::broker::Broker;
use crate::broker::connect::{Brokers, Connected, Wanted, connect};
use crate::error::Failure;
use crate::logs;
use crate::runs::output::LogStore;
use crate::runs::{RunObserver, Stores};
use crate::settings::{self, Loaded, Named, Overrides};
use crate::stream::current::Handle;
use crate::worker::jobs::once::Ran;
use crate::worker::replay::{Replay, Replayed};

use super::dead::no_keys;
use super::json_feed::JsonFeeder;
use super::{End, FeedOptions, Feeder, Host, KeyOf, Names, WorkerArguments, command, overrides, run, stdout};

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let names = Names { program: "runnel".into(), ..Names::default() };
    let matches = match parse(&names, std::env::args_os()) {
        Ok(matches) => matches,
        Err(code) => return code,
    };
    finish(start(&matches, names))
}

/// What was asked for; or the exit code, where help was, or nothing that can be understood.
pub(crate) fn parse(names: &Names, arguments: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, ExitCode> {
    command(names).try_get_matches_from(arguments).map_err(|error| {
        // A reader that has gone away is told nothing.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

/// Tells how it ended: errors on stderr, and the exit code.
pub(crate) fn finish(outcome: Result<(), End>) -> ExitCode {
    let Err(end) = outcome else { return ExitCode::SUCCESS };
    let _ = std::io::stderr().write_all(end.report().as_bytes());
    ExitCode::from(end.code())
}

fn start(matches: &ArgMatches, names: Names) -> Result<(), End> {
    let loaded = settings::load(&overrides(matches)?, &Overrides::new())?;
    logs::install(&loaded.settings)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    // Commands that ask no store work for any app.
    let needs_app = !matches!(matches.subcommand_name(), Some("completions" | "config"));
    let app = match matches.get_one::<String>("app") {
        Some(app) => {
            settings::check_name(Named::App, app)?;
            app.clone()
        }
        None if needs_app => return Err(End::Usage("which app? name it with --app NAME".into())),
        None => String::new(),
    };
    let package = Package { names, loaded, app, store: OnceCell::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(matches, &package, &mut stdout(matches)))
}

struct Package {
    names: Names,
    loaded: Loaded,
    app: String,
    store: OnceCell<Connected<Arc<dyn Broker>>>,
}

#[async_trait]
impl Host for Package {
    fn names(&self) -> &Names {
        &self.names
    }

    fn settings(&self) -> &Loaded {
        &self.loaded
    }

    fn app(&self) -> &str {
        &self.app
    }

    async fn broker(&self) -> Result<Arc<dyn Broker>, Failure> {
        let open = || async {
            let doors = Brokers::of(&self.app, &self.loaded.settings);
            let connected = connect(&doors, &Wanted::by(&self.loaded)).await?;
            connected.banner.iter().for_each(|banner| tracing::info!("{banner}"));
            Ok::<_, Failure>(connected)
        };
        Ok(self.store.get_or_try_init(open).await?.store.clone())
    }

    async fn feeder(&self, stream: &str, options: &FeedOptions) -> Result<Box<dyn Feeder>, Failure> {
        Ok(Box::new(JsonFeeder::new(self.broker().await?, stream, options, &self.loaded.settings).await?))
    }

    async fn key_of(&self, stream: &str) -> Result<KeyOf, Failure> {
        Err(no_keys(stream, &self.names.program))
    }

    async fn replay(&self, replay: &Replay) -> Result<Replayed, Failure> {
        let Replay { processor, into, .. } = replay;
        Err(Failure::Invalid(format!(
            "processor `{processor}` is replayed by your own program, which has its function: `myapp processor replay \
             {processor} --into {into} ..`"
        )))
    }

    async fn run_job(&self, name: &str, _: Asked, _: Option<Arc<dyn RunObserver>>) -> Result<Ran, Failure> {
        let text = format!("job `{name}` is run by your own program, which has its function: `myapp jobs run {name}`");
        Err(Failure::Invalid(text))
    }

    async fn stores(&self) -> Result<Stores, Failure> {
        let section = &self.loaded.sections.run_log_store;
        // Only who looks beside the streams needs to know where they are.
        let home = match section.kind() {
            None | Some("redis") => {
                self.broker().await?;
                let store = self.store.get().expect("the broker was connected the line before");
                let home = (store.url.clone(), self.app.clone(), self.loaded.settings.key_prefix.clone());
                (store.facts.product != "memory").then_some(home)
            }
            Some(_) => None,
        };
        let app = App::bare(&self.app);
        app.run_logs.found(section.clone(), home);
        // It keeps documents alone: their lines are in the stream of runs.
        if section.kind() == Some("object-store") {
            app.bind(Handle::new(self.app.clone(), self.broker().await?, self.loaded.settings.clone())?);
        }
        app.stores().await
    }

    fn log_store(&self) -> Result<Option<Arc<dyn LogStore>>, Failure> {
        Ok(App::bare(&self.app).keeping(&self.loaded.settings)?.map(|keeping| keeping.store().clone()))
    }

    async fn worker(&self, _: WorkerArguments) -> Result<(), Failure> {
        Err(Failure::Invalid("the worker is your own program: it has the functions that process events".into()))
    }
}
