//! One run of one job, asked for by name: in this process, now, whatever its schedule says.
//!
//! Nothing is claimed for it and nothing is stopped by it: an instant of the fleet that is due runs all the same.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::app::{App, Asked};
use crate::clock;
use crate::error::Failure;
use crate::job::{JobSpec, When};
use crate::runner::{Presence, RunReport};
use crate::runs::output::SHIPPED_WITHIN;
use crate::runs::recorder::Recorder;
use crate::runs::{Ended, RunObserver};
use crate::settings::TaskLogPolicy;
use crate::stream::current::Handle;
use crate::tasks::{Gate, Tasks};
use crate::witness::Witness;
use crate::worker::leader::Leadership;
use crate::worker::shutdown::obey_signals;
use crate::worker::{GOODBYE, Switches, check, worker_name};

use super::run::{JobTimes, Occasion, Runs};

/// A run that somebody has asked for.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ended: Ended,
    /// Of a job on demand.
    pub(crate) report: Option<RunReport>,
}

/// Runs a job of the app to its end, or to that of the grace period after a signal.
///
/// # Errors
/// When there is no such job, or the app cannot work. A run that fails is no error here.
pub(crate) async fn run_once(
    app: &App,
    handle: Handle,
    name: &str,
    asked: Asked,
    observer: Option<Arc<dyn RunObserver>>,
) -> Result<Ran, Failure> {
    check(app, handle.settings())?;
    let Some(job) = app.jobs.iter().find(|job| job.name == name) else {
        let near = crate::nearest::did_you_mean(name, app.jobs.iter().map(|job| job.name.as_str()));
        return Err(Failure::NotFound(format!("app `{}` has no job `{name}`{near}", app.name())));
    };
    let switches = Switches::default();
    let mut beside = Tasks::behind(&Gate::default());
    beside.start(obey_signals(switches.clone()));
    if let When::OnDemand = job.when {
        let runner = app.job_named(name).on(handle).until(switches.drain, switches.abort).watched_by(observer);
        let report = runner.run_asked(asked).await?;
        return Ok(Ran { ended: report.ended.clone(), report: Some(report) });
    }
    if !asked.is_empty() {
        return Err(Failure::Invalid(format!("{} `{name}` takes no input: only jobs on demand do", job.when.kind())));
    }
    let ended = run_here(app, handle, job, switches).await?;
    Ok(Ran { ended, report: None })
}

/// Runs a job that is none on demand, as a worker would, in a process that is none.
async fn run_here(app: &App, handle: Handle, job: &JobSpec, switches: Switches) -> Result<Ended, Failure> {
    let states = Arc::new(app.make_states().await?);
    let worker = worker_name();
    // Else the leader would take the run for one of a worker that is gone.
    let (presence, clock) = Presence::announce(&handle, &worker).await?;
    let policy = handle.settings().task_log_policy;
    let (recorder, writing) = Recorder::new(handle.clone(), clock.clone(), worker.clone(), policy);
    let mut writes = Tasks::behind(&Gate::default());
    writes.start(writing);
    let parallel = match policy {
        TaskLogPolicy::Off => true,
        _ => app.documents().await?.supports_parallel_writes(),
    };
    let runs = Runs {
        states,
        worker,
        witness: Witness::default(),
        clock,
        recorder,
        keeping: app.keeping(handle.settings())?,
        run_ids: app.run_ids.clone(),
        // Whoever asked for the run is told of it by its end.
        halts: mpsc::unbounded_channel().0,
        parallel,
        leadership: Leadership::nobody(),
        times: JobTimes::default(),
        drain: switches.drain,
        abort: switches.abort,
        handle,
    };
    let ended = runs.run(job, Occasion::HERE).await;
    if let Some(keeping) = runs.keeping.clone() {
        keeping.flush(SHIPPED_WITHIN).await;
    }
    drop(runs);
    // What could not be written at once is written now, or found to be missing by the leader.
    tokio::select! {
        _ = writes.next() => {}
        () = clock::sleep(GOODBYE) => {}
    }
    presence.goodbye().await;
    Ok(ended)
}
