//! Tasks: run when a worker starts, or, on the leader, to success once in each generation of the fleet.
//!
//! A task on the leader is claimed under (task, generation) and the claim is closed when a run has ended well. A leader
//! that dies in the middle leaves it open, and the next one runs it again. Only a leader of the generation's own version
//! runs it: during a deploy, the old code must not do what the new code is meant to.

use std::time::Duration;

use crate::broker::{ClaimKind, Term};
use crate::clock;
use crate::runs::Ended;
use crate::worker::leader::Reign;

use super::Stage;
use super::fleet::Got;
use super::run::Occasion;

/// The pauses between runs that failed.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Generations are counted from 1; an instant in milliseconds is beyond this since 2004.
const LAST_GENERATION: u64 = 1 << 40;

/// Runs a task on this worker: once, unless its policy stops it; then again when it is resumed.
pub(super) async fn on_worker(stage: Stage) {
    while stage.waits(None, stage.stops.allowed(&stage.job.name)).await {
        let ended = stage.runs.run(&stage.job, Occasion::HERE).await;
        stage.judge(&ended).await;
        if stage.stops.allows(&stage.job.name) {
            return;
        }
    }
}

/// Runs a task in each generation in which this worker leads, until it drains.
pub(super) async fn on_leader(stage: Stage) {
    let mut done = None;
    while let Some(reign) = stage.begins().await {
        let generation = reign.generation.number;
        if done == Some(generation) || !stage.is_for_us(&reign) {
            stage.waits(None, stage.runs.leadership.changes(&reign)).await;
        } else if stage.to_success(&reign).await {
            done = Some(generation);
        }
    }
}

impl Stage {
    /// Whether the generation runs our own version.
    fn is_for_us(&self, reign: &Reign) -> bool {
        let is_for_us = *reign.generation.version == *self.version;
        if !is_for_us {
            tracing::info!(task = %self.job.name, generation = reign.generation.number, its_version = %reign.generation.version,
                our_version = %self.version, "not running this task: the fleet has a newer version, which waits to lead");
        }
        is_for_us
    }

    /// Claims the task and runs it until it ends well. True if it has, then or before.
    async fn to_success(&self, reign: &Reign) -> bool {
        let (term, instant) = (reign.term, reign.generation.number);
        match self.claim(instant, ClaimKind::Open, term).await {
            Got::Ours { again: true } => {
                tracing::info!(task = %self.job.name, generation = instant, %term, "an earlier leader has not finished this \
                    task: running it again");
            }
            Got::Ours { again: false } => {}
            Got::Taken => {
                self.tell_of_another_kind(term).await;
                return true;
            }
            Got::Lost => return false,
        }
        let mut pause = PAUSE;
        for attempt in 1.. {
            let allowed = self.stops.allowed(&self.job.name);
            if !self.waits(Some(term), allowed).await || !self.is_still(reign) {
                return false;
            }
            let ended = self.runs.run(&self.job, Occasion { instant: None, term: Some(term), attempt }).await;
            if ended.is_well() {
                self.close(instant, term).await;
                self.close_older(instant, term).await;
                return true;
            }
            if matches!(ended, Ended::Terminated(_)) && !ended.is_failure() {
                return false;
            }
            self.judge(&ended).await;
            if !self.waits(Some(term), clock::sleep(pause)).await {
                return false;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        false
    }

    /// What a timer or crontab of this name has claimed lies beyond every generation: nobody would know why it never runs.
    async fn tell_of_another_kind(&self, term: Term) {
        let last = self.entry(term).await.and_then(|entry| entry.last);
        if last.is_some_and(|last| last > LAST_GENERATION) {
            tracing::error!(task = %self.job.name, "a timer or crontab of the fleet had this name before, and the instants that \
                were claimed for it hide that the task has not run: give the task a name of its own");
        }
    }

    /// Closes what generations that are over have left open: nobody runs the task for them any more.
    async fn close_older(&self, generation: u64, term: Term) {
        let open = self.entry(term).await.map(|entry| entry.open).unwrap_or_default();
        for (older, _) in open.into_iter().filter(|(instant, _)| *instant < generation) {
            if let Got::Ours { .. } = self.claim(older, ClaimKind::Open, term).await {
                self.close(older, term).await;
            }
        }
    }

    /// Whether the generation is the same: a newer version may have joined since.
    fn is_still(&self, reign: &Reign) -> bool {
        let now = self.runs.leadership.reign();
        now.is_some_and(|now| now.term == reign.term && now.generation == reign.generation)
    }
}
