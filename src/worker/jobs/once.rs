//! One run of one job, asked for by name: in this process, now, whatever its schedule says.
//!
//! Nothing is claimed for it and nothing is stopped by it: an instant of the fleet that is due runs all the same.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::app::App;
use crate::clock::{self, ServerClock};
use crate::error::{Doing, Failure};
use crate::runs::Ended;
use crate::runs::recorder::Recorder;
use crate::stream::current::Handle;
use crate::tasks::{Gate, Tasks};
use crate::witness::Witness;
use crate::worker::leader::Leadership;
use crate::worker::shutdown::obey_signals;
use crate::worker::{Switches, check, worker_name};

use super::run::{LastFired, Occasion, Runs};

/// Runs a job of the app to its end, or to that of the grace period after a signal.
///
/// # Errors
/// When there is no such job, or the app cannot work. A run that fails is no error here.
pub(crate) async fn run_once(app: &App, handle: Handle, name: &str) -> Result<Ended, Failure> {
    check(app, handle.settings())?;
    let Some(job) = app.jobs.iter().find(|job| job.name == name) else {
        let near = crate::nearest::did_you_mean(name, app.jobs.iter().map(|job| job.name.as_str()));
        return Err(Failure::NotFound(format!("app `{}` has no job `{name}`{near}", app.name())));
    };
    let states = Arc::new(app.make_states().await?);
    let asked = clock::now();
    let server = handle.broker().server().await.doing(|| "look at the server".into())?;
    let switches = Switches::default();
    let mut beside = Tasks::behind(&Gate::default());
    beside.start(obey_signals(switches.clone()));
    let (clock, worker) = (ServerClock::heard(asked, clock::now(), server.now), worker_name());
    let policy = handle.settings().task_log_policy;
    let (recorder, writing) = Recorder::new(handle.clone(), clock.clone(), worker.clone(), policy);
    let mut writes = Tasks::behind(&Gate::default());
    writes.start(writing);
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
        leadership: Leadership::nobody(),
        fired: LastFired::default(),
        drain: switches.drain,
        abort: switches.abort,
        handle,
    };
    Ok(runs.run(job, Occasion::HERE).await)
}
