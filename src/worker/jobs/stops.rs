//! Which jobs are stopped: by their policy on some worker, or by an operator. All workers learn of it within a poll.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::broker::{Broker, BrokerError, JobStop};
use crate::clock;
use crate::error::chain;

/// The longest wait before the first answer is asked for again.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// What this worker knows of stopped jobs.
#[derive(Clone, Debug)]
pub(super) struct Stops(Arc<watch::Sender<Known>>);

#[derive(Clone, Debug, Default)]
struct Known {
    /// Nothing runs before the store has said once what is stopped.
    heard: bool,
    stopped: BTreeMap<String, JobStop>,
    /// Rises with each change of our own: an answer to what was asked before it knows less.
    changes: u64,
}

impl Known {
    fn allows(&self, job: &str) -> bool {
        self.heard && !self.stopped.contains_key(job)
    }
}

impl Default for Stops {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Known::default())))
    }
}

impl Stops {
    /// Whether the job may run, as far as is known.
    pub(super) fn allows(&self, job: &str) -> bool {
        self.0.borrow().allows(job)
    }

    /// Waits until the job may run.
    pub(super) async fn allowed(&self, job: &str) {
        let mut known = self.0.subscribe();
        known.wait_for(|known| known.allows(job)).await.expect("the sender lives in `self`");
    }

    /// Waits until the store has said once what is stopped.
    pub(super) async fn heard(&self) {
        let mut known = self.0.subscribe();
        known.wait_for(|known| known.heard).await.expect("the sender lives in `self`");
    }

    /// Asks for ever; those of `jobs` that are stopped or go on are said.
    pub(super) async fn poll(self, broker: Arc<dyn Broker>, every: Duration, jobs: Vec<String>) {
        let mut in_trouble = false;
        loop {
            let asked = self.0.borrow().changes;
            match broker.jobs().await {
                Ok(entries) => {
                    in_trouble = false;
                    let stopped = entries.into_iter().filter_map(|entry| Some((entry.name, entry.stop?)));
                    self.hear(asked, stopped.filter(|(name, _)| jobs.contains(name)).collect());
                }
                Err(error) => {
                    if !std::mem::replace(&mut in_trouble, true) {
                        tracing::warn!(error = %chain(&error), "cannot learn which jobs are stopped; asking on");
                    }
                }
            }
            let heard = self.0.borrow().heard;
            clock::sleep(if heard { every } else { every.min(IMPATIENCE) }).await;
        }
    }

    fn hear(&self, asked: u64, stopped: BTreeMap<String, JobStop>) {
        self.0.send_if_modified(|known| {
            if known.changes != asked || (known.heard && known.stopped == stopped) {
                return false;
            }
            for (job, stop) in stopped.iter().filter(|(job, _)| !known.stopped.contains_key(*job)) {
                tracing::warn!(%job, error = %stop.error, "this job is stopped, until `jobs resume {job}`");
            }
            for job in known.stopped.keys().filter(|job| !stopped.contains_key(*job)) {
                tracing::info!(%job, "this job goes on");
            }
            known.stopped = stopped;
            known.heard = true;
            true
        });
    }

    /// Stops a job here at once, and for the fleet.
    pub(super) async fn stop(&self, broker: &dyn Broker, job: &str, error: &str) -> Result<(), BrokerError> {
        let stop = JobStop { error: error.to_owned(), since: 0 };
        let change = |stopped: bool| {
            self.0.send_modify(|known| {
                known.changes += 1;
                if stopped {
                    known.stopped.insert(job.to_owned(), stop.clone());
                }
            });
        };
        change(true);
        let told = broker.stop_job(job, Some(&stop)).await;
        // What was asked before the store knew of it says nothing about it either.
        change(false);
        told.map(drop)
    }
}
