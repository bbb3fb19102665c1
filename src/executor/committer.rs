//! One task that commits for all partitions of an executor.
//!
//! What is settled waits at most for the linger, or until enough has gathered, and goes in one pipeline for many
//! partitions. A lost answer is asked for again with the very same commit: it is applied exactly once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::broker::{Broker, Commit, Committed};
use crate::clock::{self, Instant};

use super::ledger::{Call, Ledger};

/// The way to the committer.
#[derive(Clone)]
pub(super) struct Committer(mpsc::UnboundedSender<Arc<Ledger>>);

impl Committer {
    /// The way, and the task that must be run.
    pub(super) fn new(broker: Arc<dyn Broker>, linger: Duration) -> (Self, impl Future<Output = ()> + Send) {
        let (way, calls) = mpsc::unbounded_channel();
        let server_changes = broker.server_changes();
        let desk =
            Desk { broker, server_changes, linger, way: way.clone(), calls, lingering: Vec::new(), again: Vec::new() };
        (Self(way), desk.run())
    }

    /// Passes on what a ledger said.
    pub(super) fn call(&self, ledger: &Arc<Ledger>, call: Call) {
        if call != Call::Nothing {
            // It only fails when the executor is being dropped, and then nobody needs it.
            let _ = self.0.send(ledger.clone());
        }
    }
}

struct Desk {
    broker: Arc<dyn Broker>,
    server_changes: watch::Receiver<u64>,
    linger: Duration,
    way: mpsc::UnboundedSender<Arc<Ledger>>,
    calls: mpsc::UnboundedReceiver<Arc<Ledger>>,
    /// Those that wait for more, until then.
    lingering: Vec<(Instant, Arc<Ledger>)>,
    /// Commits without an answer.
    again: Vec<(Arc<Ledger>, Commit)>,
}

impl Desk {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut ready = Vec::new();
        loop {
            self.gather(&mut ready).await;
            let mut batch: Vec<(Arc<Ledger>, Commit)> = std::mem::take(&mut self.again);
            batch
                .extend(ready.drain(..).filter_map(|ledger: Arc<Ledger>| ledger.take().map(|commit| (ledger, commit))));
            let server = *self.server_changes.borrow();
            batch.retain(|(ledger, _)| ledger.is_of(server));
            if batch.is_empty() {
                continue;
            }
            let (ledgers, commits): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let answers = self.broker.commit(&commits).await;
            for ((ledger, commit), answer) in ledgers.into_iter().zip(commits).zip(answers) {
                self.answered(ledger, commit, answer);
            }
            if self.again.is_empty() {
                pause = FIRST_PAUSE;
            } else {
                clock::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Waits until something should be committed now, and takes all of that.
    async fn gather(&mut self, ready: &mut Vec<Arc<Ledger>>) {
        let mut called = Vec::new();
        loop {
            let now = clock::now();
            let due = self.lingering.iter().map(|(until, _)| *until).min();
            while let Ok(ledger) = self.calls.try_recv() {
                called.push(ledger);
            }
            if called.is_empty() && self.again.is_empty() && due.is_none_or(|at| at > now) {
                // Both are safe to drop: recv loses nothing, the other is a timer.
                tokio::select! {
                    ledger = self.calls.recv() => called.extend(ledger),
                    () = clock::sleep_until(due.unwrap_or(now)), if due.is_some() => {}
                }
                continue;
            }
            for ledger in called.drain(..) {
                match ledger.is_urgent() || self.linger.is_zero() {
                    true => ready.push(ledger),
                    false => self.lingering.push((now + self.linger, ledger)),
                }
            }
            // One that was lingering and became urgent is called again; taking it twice takes nothing.
            self.lingering.retain(|(until, ledger)| {
                let is_due = *until <= now || ledger.is_urgent();
                if is_due {
                    ready.push(ledger.clone());
                }
                !is_due
            });
            if !ready.is_empty() || !self.again.is_empty() {
                return;
            }
        }
    }

    fn answered(&mut self, ledger: Arc<Ledger>, commit: Commit, answer: Result<Committed, crate::broker::BrokerError>) {
        let place = &ledger.place;
        let (processor, partition) = (&place.group.processor, place.partition);
        match answer {
            Ok(Committed::Applied) => {
                if ledger.applied() != Call::Nothing {
                    let _ = self.way.send(ledger);
                }
                return;
            }
            Ok(Committed::Fenced { by }) => {
                tracing::warn!(%processor, %partition, epoch = %ledger.fence.epoch, %by,
                    "this partition has another owner: what was not committed here will be processed there");
            }
            Ok(Committed::Gap { have }) => {
                tracing::warn!(%processor, %partition, epoch = %ledger.fence.epoch, sent = commit.n, have,
                    "Redis has lost commits (a fail-over?): acquiring the partition again");
            }
            Ok(Committed::LettersFull { .. }) => {
                self.again.push((ledger, commit));
                return;
            }
            Ok(Committed::GroupMissing) => {
                tracing::warn!(%processor, %partition, epoch = %ledger.fence.epoch,
                    "the consumer group is gone: acquiring the partition again");
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(%processor, %partition, %error, "a commit has no answer: sending the same again");
                self.again.push((ledger, commit));
                return;
            }
            Err(error) => {
                tracing::error!(%processor, %partition, epoch = %ledger.fence.epoch, error = %crate::error::chain(&error),
                    "a commit was refused: giving the partition up and acquiring it again");
            }
        }
        ledger.lost.cancel();
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
