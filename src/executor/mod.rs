//! One processor in one worker: beats, learns the plan, and owns what the plan gives it.
//!
//! The loop here only waits, tells facts to the machines of `decide`, and does the steps they name. Whatever talks to
//! the broker is a task of its own, so that a slow answer holds up nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::broker::{Acquired, BrokerError, Group, Mark, Swapped};
use crate::clock::{self, Instant};
use crate::decide::ownership::Ownership;
use crate::event::{EventId, Partition};
use crate::processor::extract::States;
use crate::processor::{Manner, ProcessorSpec};
use crate::runs::output::Keeping;
use crate::runs::recorder::Recorder;
use crate::stream::current::Handle;
use crate::tasks::{Gate, Tasks};
use crate::witness::Witness;

pub(crate) mod chunks;
pub(crate) mod committer;
pub(crate) mod drain;
pub(crate) mod event_loop;
pub(crate) mod failing;
pub(crate) mod fetch;
pub(crate) mod hand;
pub(crate) mod handler;
pub(crate) mod holding;
pub(crate) mod lane;
pub(crate) mod ledger;
pub(crate) mod lent;
pub(crate) mod membership;
pub(crate) mod outbox;
pub(crate) mod queue;
pub(crate) mod rebalance;
pub(crate) mod tenancy;
pub(crate) mod tracked;
pub(crate) mod upkeep;
pub(crate) mod wrapped;

pub(crate) use fetch::Appetite;

use committer::Committer;
use holding::Holding;
use lane::LaneEnd;
use membership::{Beaten, Membership, Server};
use rebalance::{Asked, Place, Wish};

/// What all executors of a worker share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) handle: Handle,
    pub(crate) states: Arc<States>,
    pub(crate) worker: Arc<str>,
    pub(crate) appetite: Arc<Appetite>,
    /// One suspect of an unclean take-over runs at a time in the whole process.
    pub(crate) suspects: Arc<Semaphore>,
    pub(crate) gate: Gate,
    pub(crate) witness: Witness,
    pub(crate) recorder: Recorder,
    /// Where the output of tenancies goes, if it is kept.
    pub(crate) keeping: Option<Keeping>,
    pub(crate) reports: mpsc::UnboundedSender<Halt>,
    /// Cancelled: take nothing new, finish, commit, release, leave.
    pub(crate) drain: CancellationToken,
    /// Cancelled: drop what runs, too.
    pub(crate) abort: CancellationToken,
}

/// A partition that its policy has halted.
#[derive(Clone, Debug)]
pub(crate) struct Halt {
    pub(crate) processor: Arc<str>,
    pub(crate) stream: String,
    pub(crate) partition: Partition,
    pub(crate) mark: Mark,
}

/// What the tasks of an executor report.
enum Report {
    Beaten(Beaten),
    Swapped(Result<Swapped, BrokerError>),
    Bell((Server, EventId)),
    Acquired { partition: Partition, asked: Asked, answer: Result<Acquired, BrokerError> },
    Ended { partition: Partition, end: LaneEnd },
    Renewed { sent: Instant, answers: Vec<upkeep::Renewal> },
    Done,
}

/// One processor in one worker.
pub(crate) struct Executor {
    spec: Arc<ProcessorSpec>,
    /// Shared with every lane.
    manner: Arc<Manner>,
    group: Group,
    around: Surroundings,
    membership: Membership,
    ownership: Ownership,
    places: BTreeMap<Partition, Place>,
    wishes: BTreeMap<Partition, Wish>,
    committer: Committer,
    server_changes: watch::Receiver<u64>,
    tasks: Tasks<Report>,
    lanes: Tasks<Report>,
    /// A beat was answered since the plan was last looked at: what was proposed without could only be outrun again.
    has_news: bool,
    /// Whether the store has not answered for a while, and that was said.
    in_trouble: bool,
    proposing: bool,
    beating: bool,
    beat_again: bool,
    renewing: bool,
    trimmed: BTreeMap<Partition, EventId>,
    /// Nothing is acquired before: the join delay.
    ready_at: Instant,
    next_beat: Instant,
    next_renewal: Instant,
    next_trim: Instant,
    next_look: Instant,
}

/// Between trims of partitions whose position has moved.
const TRIM_EVERY: Duration = Duration::from_secs(3);

impl Executor {
    pub(crate) fn new(spec: Arc<ProcessorSpec>, manner: Manner, group: Group, around: Surroundings) -> Self {
        let now = clock::now();
        let (committer, desk) = Committer::new(around.handle.broker().clone(), manner.commit_linger);
        let mut tasks = Tasks::behind(&around.gate);
        tasks.start(async move {
            desk.await;
            Report::Done
        });
        Self {
            membership: Membership::new(group.clone(), around.worker.clone(), manner.lock_expiry),
            ownership: Ownership::new(manner.assignment_sleep, manner.assignment_attempts),
            places: BTreeMap::new(),
            wishes: BTreeMap::new(),
            committer,
            server_changes: around.handle.broker().server_changes(),
            tasks,
            lanes: Tasks::behind(&around.gate),
            has_news: false,
            in_trouble: false,
            proposing: false,
            beating: false,
            beat_again: false,
            renewing: false,
            trimmed: BTreeMap::new(),
            ready_at: now + manner.join_delay,
            next_beat: now,
            next_renewal: now + manner.lock_expiry / 3,
            next_trim: now + TRIM_EVERY,
            next_look: now,
            spec,
            manner: Arc::new(manner),
            group,
            around,
        }
    }

    /// Runs until it is drained. Dropping it drops everything it owns, unreleased.
    pub(crate) async fn run(mut self) {
        let mut server_changes = self.server_changes.clone();
        self.listen_for_the_bell((0, EventId::ZERO));
        let (drain, abort) = (self.around.drain.clone(), self.around.abort.clone());
        while !drain.is_cancelled() {
            self.keep_up();
            let wake = self.next_wake();
            // All are safe to drop: `next` loses no report, the others only end the wait.
            tokio::select! {
                () = drain.cancelled() => break,
                Some(report) = self.tasks.next() => self.told(report),
                Some(report) = self.lanes.next() => self.told(report),
                changed = server_changes.changed() => self.server_changed(changed),
                () = clock::sleep_until(wake) => {}
            }
        }
        self.drain(abort).await;
    }

    /// Everything that is due now.
    fn keep_up(&mut self) {
        let now = clock::now();
        if now >= self.next_beat && !self.beating {
            self.beat(now);
        }
        self.maintain();
        if now >= self.next_trim {
            self.trim(now);
        }
        if now >= self.next_look {
            self.look_at_stopped(now);
        }
        if !self.proposing
            && std::mem::take(&mut self.has_news)
            && let Some(proposal) = self.membership.proposal(*self.server_changes.borrow(), now)
        {
            self.proposing = true;
            let (broker, group) = (self.around.handle.broker().clone(), self.group.clone());
            self.tasks.start(async move { Report::Swapped(membership::propose(broker, group, proposal).await) });
        }
        if now >= self.ready_at && self.membership.since().is_some() {
            self.take_steps();
        }
    }

    /// What keeps alive what is owned.
    fn maintain(&mut self) {
        let now = clock::now();
        self.places.values().for_each(|place| place.holding.watch(now));
        if now >= self.next_renewal && !self.renewing {
            self.renew(now);
        }
    }

    fn next_wake(&self) -> Instant {
        let now = clock::now();
        let watch = self.places.values().map(|place| place.holding.watch_at(now)).filter(|at| *at > now).min();
        // Neither is done any more while draining, so neither may wake us for ever.
        let going_on = !self.around.drain.is_cancelled();
        let beat = (going_on && !self.beating).then_some(self.next_beat);
        let renewal = (!self.renewing && !self.places.is_empty()).then_some(self.next_renewal);
        let trim = (going_on && !self.places.is_empty()).then_some(self.next_trim);
        let steps = self.ownership.next_at().map(|at| at.max(self.ready_at));
        [watch, beat, renewal, trim, steps]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + Duration::from_secs(1))
            .max(now + A_MOMENT)
    }

    fn beat(&mut self, now: Instant) {
        // Leaving rings the bell, and a bell calls for a beat: ours would join us again.
        if self.around.drain.is_cancelled() {
            return;
        }
        self.beating = true;
        self.next_beat = now + self.manner.lock_expiry / 4;
        let (broker, group, me) = (self.around.handle.broker().clone(), self.group.clone(), self.around.worker.clone());
        let (ttl, known) = (self.manner.lock_expiry, self.membership.known());
        self.tasks.start(async move { Report::Beaten(membership::beat(broker, group, me, ttl, known).await) });
    }

    fn told(&mut self, report: Result<Report, tokio::task::JoinError>) {
        let now = clock::now();
        let report = match report {
            Ok(report) => report,
            // A panic in one of ours is a defect: everything here is dropped, the leases lapse, and others take over.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only we abort tasks.
            Err(_) => return,
        };
        match report {
            Report::Beaten(beaten) => self.beaten(beaten, now),
            Report::Swapped(answer) => self.swapped(answer, now),
            Report::Bell(heard) => {
                self.listen_for_the_bell(heard);
                self.replan(now);
                if self.beating { self.beat_again = true } else { self.beat(now) }
            }
            Report::Acquired { partition, asked, answer } => self.acquired(partition, asked, answer, now),
            Report::Ended { partition, end } => self.ended(partition, end, now),
            Report::Renewed { sent, answers } => self.renewed(sent, answers),
            Report::Done => {}
        }
    }

    fn beaten(&mut self, beaten: Beaten, now: Instant) {
        self.beating = false;
        if self.around.drain.is_cancelled() {
            // It may have come to the store after our leave.
            let leave = self.leaving();
            self.tasks.start(leave);
            return;
        }
        match &beaten.answer {
            Ok(roll) => {
                self.has_news = true;
                self.trouble_is_over();
                // A beat without news must not begin the waits for what others hold, and for what is stopped, afresh.
                if self.membership.answered(&beaten, roll) {
                    self.replan(now);
                }
                self.doubt_stops(now);
            }
            Err(error) => {
                self.trouble(error, "beats");
                self.next_beat = self.next_beat.min(now + AGAIN);
            }
        }
        if std::mem::take(&mut self.beat_again) {
            self.beat(now);
        }
    }

    fn swapped(&mut self, answer: Result<Swapped, BrokerError>, now: Instant) {
        self.proposing = false;
        match answer {
            // The bell it rang brings the plan to everybody, us included; an outrun plan may call for another one.
            Ok(Swapped::Installed(_) | Swapped::Outrun { .. }) => {
                if self.beating {
                    self.beat_again = true
                } else {
                    self.beat(now)
                }
            }
            Err(error) => {
                let text = crate::error::chain(&error);
                let processor = &self.group.processor;
                match error.is_transient() {
                    true => {
                        tracing::debug!(%processor, error = %text, "a plan could not be installed: looking again soon")
                    }
                    false => {
                        tracing::warn!(%processor, error = %text, "a plan could not be installed: looking again soon")
                    }
                }
                self.next_beat = self.next_beat.min(now + AGAIN);
            }
        }
    }

    fn replan(&mut self, now: Instant) {
        if !self.around.drain.is_cancelled() {
            self.ownership.planned(self.membership.mine(), now);
        }
    }

    /// Says once that the store does not answer; it is asked several times a second.
    fn trouble(&mut self, error: &BrokerError, what: &str) {
        if !std::mem::replace(&mut self.in_trouble, true) {
            tracing::warn!(processor = %self.group.processor, error = %crate::error::chain(error),
                "{what} are not answered: trying again until they are");
        }
    }

    fn trouble_is_over(&mut self) {
        if std::mem::take(&mut self.in_trouble) {
            tracing::info!(processor = %self.group.processor, "the store answers again");
        }
    }

    /// After a fail-over or restart nothing that was read can be trusted: everything owned is acquired anew.
    fn server_changed(&mut self, changed: Result<(), watch::error::RecvError>) {
        if changed.is_err() {
            return;
        }
        if !self.places.is_empty() {
            tracing::warn!(processor = %self.group.processor, partitions = self.places.len(),
                "the connection came to a changed server: acquiring all partitions again");
        }
        self.places.values().for_each(|place| place.holding.ledger.lost.cancel());
        self.next_beat = clock::now();
        self.register_again();
    }
}

/// Until what was not answered is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// The loop never spins.
const A_MOMENT: Duration = Duration::from_millis(1);
