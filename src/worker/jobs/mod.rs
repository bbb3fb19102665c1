//! The jobs of one worker: one loop for each, and the leader that lets some of them act for the fleet.
//!
//! All of it ends with the drain: loops start nothing new, what runs has the grace period, and when the last run is over
//! this worker resigns, so that the next leader begins within a poll. A job that fails or panics ends nothing, unless its
//! policy is to halt.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::job::{JobSpec, When};
use crate::tasks::{Gate, Tasks};

use super::leader::Leader;

mod crontab;
mod fleet;
pub(crate) mod once;
pub(crate) mod run;
mod stops;
mod task;
mod timer;

use crontab::Calendar;
use run::Runs;
use stops::Stops;
use timer::Every;

/// The jobs of a worker, and its bids.
pub(super) struct Jobs {
    pub(super) specs: Vec<Arc<JobSpec>>,
    pub(super) runs: Runs,
    /// The version of the app that this worker runs.
    pub(super) version: Arc<str>,
    pub(super) gate: Gate,
    /// Jobs whose policy ends the worker, each as a sentence.
    pub(super) halts: mpsc::UnboundedSender<String>,
    pub(super) leader: Leader,
}

/// What the loop of one job needs.
#[derive(Clone)]
struct Stage {
    job: Arc<JobSpec>,
    runs: Runs,
    stops: Stops,
    version: Arc<str>,
    gate: Gate,
    halts: mpsc::UnboundedSender<String>,
}

impl Jobs {
    /// Runs until the worker drains. Dropping it drops what runs; the leader's term lapses then.
    pub(super) async fn run(self) {
        let Self { specs, runs, version, gate, halts, leader } = self;
        let (done, drain) = (CancellationToken::new(), runs.drain.clone());
        let mut leading = Tasks::behind(&gate);
        leading.start(leader.run(done.clone()));

        let stops = Stops::default();
        let mut polling = Tasks::behind(&gate);
        if !specs.is_empty() {
            let every = runs.handle.settings().leadership_poll_interval;
            let names = specs.iter().map(|job| job.name.clone()).collect();
            polling.start(stops.clone().poll(runs.handle.broker().clone(), every, names));
        }

        let mut loops = Tasks::behind(&gate);
        for job in specs {
            let (runs, stops, version) = (runs.clone(), stops.clone(), version.clone());
            start(&mut loops, Stage { job, runs, stops, version, gate: gate.clone(), halts: halts.clone() });
        }
        loop {
            // Both are safe to drop: neither loses what it waits for.
            tokio::select! {
                Some(ended) = loops.next() => if let Err(error) = ended && error.is_panic() {
                    // Of ours, since those of users are caught: a defect, which ends the worker.
                    std::panic::resume_unwind(error.into_panic());
                },
                () = drain.cancelled(), if !drain.is_cancelled() => {}
                else => break,
            }
        }
        drop(polling);
        done.cancel();
        leading.next().await;
    }
}

/// Starts the loop that belongs to a job.
fn start(loops: &mut Tasks, stage: Stage) {
    let job = stage.job.clone();
    let on_leader = job.on_leader;
    match job.when.clone() {
        When::OnDemand => {}
        When::AtStart if on_leader => drop(loops.start(task::on_leader(stage))),
        When::AtStart => drop(loops.start(task::on_worker(stage))),
        When::Every { interval, jitter, overlap } => {
            let every = Every { interval, jitter, overlap };
            if on_leader {
                loops.start(timer::on_leader(stage, every))
            } else {
                loops.start(timer::on_worker(stage, every))
            };
        }
        When::At { missed, max_lateness, delivery, .. } => {
            let schedule = job.schedule(stage.runs.handle.settings());
            let schedule = schedule.ok().flatten().expect("the app was checked before");
            let calendar = Calendar { schedule, missed, max_lateness, delivery };
            if on_leader {
                loops.start(crontab::on_leader(stage, calendar));
            } else {
                loops.start(crontab::on_worker(stage, calendar));
            }
        }
    }
}
