//! What a job's loop asks of the store: instants of the fleet, and the stop that a policy demands.
//!
//! An answer that is lost is asked for again, the same question, until it is clear or the term is over: a claim that
//! may have been made is neither run on a guess nor given up on one.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::broker::{BrokerError, Claim, ClaimKind, Claimed, JobEntry, Term};
use crate::clock::{self, UnixMs};
use crate::error::chain;
use crate::runs::Ended;
use crate::settings::ExceptionPolicy;
use crate::worker::leader::Reign;

use super::Stage;

/// The pauses between questions that are not answered.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What was asked before the worker drained is waited for so long: an instant that was claimed, or a stop that the others
/// are to hear of, would be lost otherwise.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Run it now.
    Ours {
        /// An earlier term has begun it.
        again: bool,
    },
    /// It was claimed before.
    Taken,
    /// The term is over, or the worker drains.
    Lost,
}

impl Stage {
    /// Waits for a term of this worker; `None` once it drains.
    pub(super) async fn begins(&self) -> Option<Reign> {
        // Both are safe to drop: they only wait.
        tokio::select! {
            biased;
            () = self.runs.drain.cancelled() => None,
            reign = self.runs.leadership.begins() => Some(reign),
        }
    }

    /// Waits for something, which must be safe to drop. False if the worker drains before, or the term is over.
    pub(super) async fn waits(&self, term: Option<Term>, what: impl Future<Output = ()>) -> bool {
        let over = async {
            match term {
                Some(term) => self.runs.leadership.distrusted(term).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.runs.drain.cancelled() => false,
            () = over => false,
            () = what => true,
        }
    }

    /// Waits until the worker has been draining for so long, or drops what runs.
    async fn drained_for(&self, time: Duration) {
        let drained = async {
            self.runs.drain.cancelled().await;
            clock::sleep(time).await;
        };
        // Both are safe to drop: they only wait.
        tokio::select! {
            () = drained => {}
            () = self.runs.abort.cancelled() => {}
        }
    }

    fn claim_of(&self, instant: UnixMs, kind: ClaimKind, term: Term) -> Claim {
        Claim { worker: self.runs.worker.clone(), term, job: self.job.name.as_str().into(), instant, kind }
    }

    /// Claims an instant for the fleet.
    pub(super) async fn claim(&self, instant: UnixMs, kind: ClaimKind, term: Term) -> Got {
        let claim = self.claim_of(instant, kind, term);
        let broker = self.runs.handle.broker();
        // Both are safe to drop: they only wait.
        let end = async {
            tokio::select! {
                () = self.drained_for(PATIENCE) => {}
                () = self.runs.leadership.distrusted(term) => {}
            }
        };
        match self.asks(end, "claim an instant of a job", || broker.claim(&claim)).await {
            Some(Claimed::Ours { again }) if self.runs.leadership.may_start(term) => Got::Ours { again },
            Some(Claimed::Taken) => Got::Taken,
            Some(Claimed::Deposed) => {
                // The next bid will tell this worker; until then it need not ask again and again.
                self.waits(Some(term), clock::sleep(LONGEST_PAUSE)).await;
                Got::Lost
            }
            Some(Claimed::Ours { .. }) | None => {
                if kind == ClaimKind::Once {
                    tracing::warn!(job = %self.job.name, instant, %term, "the term was over before this instant was \
                        certainly ours: it may be claimed and never run");
                }
                Got::Lost
            }
        }
    }

    /// Up to when instants of the job are taken: from now on, if it has none yet. `None` when the term is over.
    pub(super) async fn taken(&self, entry: &JobEntry, term: Term) -> Option<UnixMs> {
        if let Some(last) = entry.last {
            return Some(last);
        }
        let now = self.runs.clock.now();
        match self.claim(now, ClaimKind::Base, term).await {
            Got::Ours { .. } | Got::Taken => Some(now),
            Got::Lost => None,
        }
    }

    /// Closes an open claim: nobody runs the instant again.
    pub(super) async fn close(&self, instant: UnixMs, term: Term) {
        let claim = self.claim_of(instant, ClaimKind::Open, term);
        let broker = self.runs.handle.broker();
        let is_ours = AtomicBool::new(true);
        // Both are safe to drop: they only wait.
        let end = async {
            tokio::select! {
                () = self.drained_for(self.runs.handle.settings().default_grace_period) => {}
                () = self.runs.leadership.ends(term, &is_ours) => {}
            }
        };
        if self.asks(end, "close a claim of a job", || broker.close(&claim)).await.is_none() {
            tracing::warn!(job = %self.job.name, instant, %term, "this instant was run, but that could not be told: \
                the next leader runs it again");
        }
    }

    /// What the store knows of the job; `None` when the term is over, or the worker drains.
    pub(super) async fn entry(&self, term: Term) -> Option<JobEntry> {
        let broker = self.runs.handle.broker();
        // Both are safe to drop: they only wait.
        let end = async {
            tokio::select! {
                () = self.runs.drain.cancelled() => {}
                () = self.runs.leadership.distrusted(term) => {}
            }
        };
        let entries = self.asks(end, "look at the fleet's jobs", || broker.jobs()).await?;
        let ours = entries.into_iter().find(|entry| entry.name == self.job.name);
        Some(ours.unwrap_or_else(|| JobEntry { name: self.job.name.clone(), ..JobEntry::default() }))
    }

    /// Asks until there is an answer, or `end`.
    async fn asks<T, F>(&self, end: impl Future<Output = ()>, doing: &str, ask: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, BrokerError>>,
    {
        let answer = async {
            let mut pause = PAUSE;
            loop {
                match ask().await {
                    Ok(answer) => return answer,
                    Err(error) => {
                        if pause == PAUSE {
                            tracing::warn!(job = %self.job.name, error = %chain(&error), "could not {doing}; asking again");
                        }
                        clock::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        };
        // Safe to drop: each of these questions may be asked again.
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            () = end => None,
        }
    }

    /// Does what the policy says about a run.
    pub(super) async fn judge(&self, ended: &Ended) {
        if !ended.is_failure() {
            return;
        }
        match self.job.exception_policy {
            ExceptionPolicy::Ignore => {}
            ExceptionPolicy::Quarantine => self.stop(ended).await,
            ExceptionPolicy::Halt => {
                // The next leader takes it over: without a mark it would halt one after the other.
                if self.job.on_leader {
                    self.stop(ended).await;
                }
                let _ = self.halts.send(self.sentence(ended));
                // The worker drains now; nothing of this job starts before it has.
                self.runs.drain.cancelled().await;
            }
        }
    }

    /// Stops the job's schedule: here at once, elsewhere as soon as the store can be told.
    async fn stop(&self, ended: &Ended) {
        let (broker, name, error) = (self.runs.handle.broker(), &self.job.name, ended.to_string());
        tracing::error!(job = %name, %error, "the job is stopped on all workers, until `jobs resume {name}`");
        let told = self.asks(self.drained_for(PATIENCE), "stop a job", || self.stops.stop(&**broker, name, &error));
        if told.await.is_none() {
            tracing::warn!(job = %name, "the other workers could not be told that this job is stopped");
        }
    }

    fn sentence(&self, ended: &Ended) -> String {
        let (kind, name, place) = (self.job.when.kind(), &self.job.name, &self.job.declared_at);
        let again = match self.job.on_leader {
            true => format!("Repair the cause, let it go on with `jobs resume {name}`, and start a worker again"),
            false => "Repair the cause and start a worker again".to_owned(),
        };
        format!("{kind} `{name}` ({place}) has failed, and its policy is to halt: {ended}. {again}")
    }
}
