//! One worker: start, run, drain.
//!
//! Everything it starts ends with it: dropping the future of [`Worker::run`] leaves nothing behind but leases, which
//! lapse. A halted partition drains it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::stage::Ground;
use crate::clock::{self, ServerClock};
use crate::error::Failure;
use crate::executor::Surroundings;
use crate::processor::ProcessorSpec;
use crate::runner::Stage;
use crate::runs::recorder::Alive;
use crate::stream::current::{self, Handle};
use crate::tasks::Gate;
use crate::witness::Witness;

mod about;
mod check;
mod crash_watch;
mod embed;
mod face;
pub(crate) mod jobs;
mod leader;
mod ready;
pub(crate) mod replay;
mod retention;
#[cfg(feature = "http")]
mod retries;
pub(crate) mod run_log;
mod running;
pub(crate) mod serve;
mod shutdown;
mod traces;

use jobs::Jobs;
use jobs::run::{JobTimes, Runs};
use leader::Leader;

pub(crate) use crate::runner::worker_name;
pub(crate) use check::check;
pub use embed::Connected;

/// How long a store that does not answer may hold up the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// A worker that can be run.
pub(crate) struct Worker {
    app: App,
    handle: Handle,
    name: Arc<str>,
    gate: Gate,
    witness: Witness,
    /// Only these processors, if given. Jobs run all the same.
    only: Option<Vec<String>>,
}

/// The two switches that end a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switches {
    /// Take nothing new; finish, commit, release, leave.
    pub(crate) drain: CancellationToken,
    /// Drop what runs.
    pub(crate) abort: CancellationToken,
}

impl Worker {
    pub(crate) fn new(app: App, handle: Handle) -> Self {
        Self { app, handle, name: worker_name(), gate: Gate::default(), witness: Witness::default(), only: None }
    }

    /// Runs only these processors. Jobs run all the same: who splits an app by its processors still wants its timers.
    pub(crate) fn only(mut self, processors: Option<Vec<String>>) -> Self {
        self.only = processors;
        self
    }

    /// Runs behind a gate that can stop it in the middle of anything.
    #[cfg(feature = "testing")]
    pub(crate) fn behind(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Watched by this witness.
    #[cfg(feature = "testing")]
    pub(crate) fn watched(mut self, witness: Witness) -> Self {
        self.witness = witness;
        self
    }

    /// Under this name.
    #[cfg(feature = "testing")]
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Runs until it is drained, or a partition or a job halts it.
    pub(crate) async fn run(self, switches: Switches) -> Result<(), Failure> {
        let handle = self.handle.clone();
        current::within(handle, self.run_here(switches)).await
    }

    async fn run_here(self, switches: Switches) -> Result<(), Failure> {
        let settings = self.handle.settings();
        check(&self.app, settings)?;
        // Safe to drop: of what was begun, only the name in the roster is left.
        let ready = tokio::select! {
            biased;
            ready = self.get_ready(&switches) => ready.map(Some),
            () = switches.drain.cancelled() => Ok(None),
        };
        let running = match ready {
            Ok(Some(ready)) => self.start(ready).await.map(Some),
            Ok(None) => Ok(None),
            Err(failure) => Err(failure),
        };
        let mut running = match running {
            Ok(Some(running)) => running,
            not_started => {
                self.depart().await;
                tracing::info!(worker = %self.name, "the worker ends before it has started");
                return not_started.map(drop);
            }
        };
        let over = running.until_over(&self.name, &switches.drain).await;
        running.end().await;
        self.depart().await;
        tracing::info!(worker = %self.name, "the worker has drained");
        over.result()
    }

    /// Where runs of jobs on demand are resumed in this worker.
    async fn stage(
        &self,
        around: &Surroundings,
        alive: &Alive,
        halts: &mpsc::UnboundedSender<String>,
    ) -> Result<Stage, Failure> {
        self.app.stage(Ground {
            handle: self.handle.clone(),
            states: around.states.clone(),
            worker: self.name.clone(),
            journal: Arc::new(around.recorder.clone()),
            run_logs: Some(self.app.documents().await?),
            drain: around.drain.clone(),
            abort: around.abort.clone(),
            alive: Some(alive.clone()),
            halts: Some(halts.clone()),
        })
    }

    /// Leaves the roster.
    async fn depart(&self) {
        // Safe to drop: who is not told will notice.
        tokio::select! {
            _ = self.handle.broker().depart(&self.name) => {}
            () = clock::sleep(GOODBYE) => {}
        }
    }

    /// The jobs, with the bids that let them act for the fleet.
    fn jobs(
        &self,
        around: &Surroundings,
        clock: ServerClock,
        times: JobTimes,
        halts: mpsc::UnboundedSender<String>,
        parallel: bool,
    ) -> Jobs {
        let settings = self.handle.settings();
        let (leader, leadership) = Leader::new(
            self.handle.broker().clone(),
            self.name.clone(),
            settings.leadership_poll_interval,
            clock.clone(),
        );
        let runs = Runs {
            handle: self.handle.clone(),
            states: around.states.clone(),
            worker: self.name.clone(),
            witness: self.witness.clone(),
            clock,
            leadership,
            times,
            recorder: around.recorder.clone(),
            keeping: around.keeping.clone(),
            run_ids: self.app.run_ids.clone(),
            parallel,
            halts: halts.clone(),
            drain: around.drain.clone(),
            abort: around.abort.clone(),
        };
        let specs = self.app.jobs.iter().cloned().map(Arc::new).collect();
        Jobs { specs, runs, version: self.app.version.as_str().into(), gate: self.gate.clone(), halts, leader }
    }

    /// The processors to run.
    fn chosen(&self) -> Result<Vec<Arc<ProcessorSpec>>, Failure> {
        let all = || self.app.processors.iter();
        // What is wrapped around all is outside of what each has of its own.
        let wrapped = |spec: &ProcessorSpec| {
            let middleware = self.app.middleware.around(&spec.middleware);
            Arc::new(ProcessorSpec { middleware, ..spec.clone() })
        };
        let Some(only) = &self.only else { return Ok(all().map(wrapped).collect()) };
        only.iter()
            .map(|name| {
                let found = all().find(|spec| spec.name == *name).map(wrapped);
                found.ok_or_else(|| {
                    let names = all().map(|spec| spec.name.as_str());
                    Failure::NotFound(format!(
                        "app `{}` has no processor `{name}`{}",
                        self.app.name(),
                        crate::nearest::did_you_mean(name, names)
                    ))
                })
            })
            .collect()
    }
}
