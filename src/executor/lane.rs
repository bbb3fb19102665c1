//! One owned partition, one task: take a unit, have it handled, settle it, take the next.
//!
//! It never looks at two units of its partition at once; that is the whole ordering guarantee. It does not know why it
//! was opened or closed: see [`rebalance`](super::rebalance).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::broker::{Front, Mark, Owned, StopKind};
use crate::clock::{self, Instant};
use crate::decide::caution::Caution;
use crate::decide::verdict::{Verdict, verdict};
use crate::error::Error;
use crate::event::EventId;
use crate::processor::{Context, Manner, Unit, UnitError};
use crate::witness::What;

use super::committer::Committer;
use super::holding::Holding;
use super::ledger::{Call, Ledger};
use super::queue::Queue;

/// How a lane ended.
#[derive(Debug)]
pub(super) enum LaneEnd {
    /// It was closed, and what was settled is committed and released.
    Closed,
    /// The place was lost, or could not be released: it may have another owner by now.
    Lost,
    /// The policy stopped it at an event; the mark is in Redis.
    Stopped(Mark),
}

/// Why a unit failed.
pub(super) struct Fault {
    pub(super) error: Error,
    /// Whether another try could not go better: the bytes do not change.
    pub(super) is_final: bool,
}

impl Fault {
    pub(super) fn of(error: UnitError, context: &Context) -> Self {
        match error {
            UnitError::Handler(error) => Self { error, is_final: false },
            UnitError::Decode(id, source) => {
                let stream = context.stream().to_owned();
                Self { error: crate::error::Failure::Decode { stream, id, source }.into(), is_final: true }
            }
        }
    }

    pub(super) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Self {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
        Self { error: format!("the processor panicked: {text}").into(), is_final: false }
    }
}

/// What to do with a unit that failed.
pub(super) enum Decision {
    /// Try it again now; the wait is over.
    Again,
    /// It is settled; go on.
    GoOn,
    /// The lane ends here.
    End(Ending),
}

/// Why a lane stops working.
pub(super) enum Ending {
    /// It was told to, or its place is gone.
    Told,
    /// Its policy says so.
    Stop(Mark),
}

/// What both styles of processors share while they work a partition off.
pub(super) struct Lane {
    pub(super) manner: Manner,
    pub(super) holding: Arc<Holding>,
    pub(super) committer: Committer,
    pub(super) queue: Queue,
    pub(super) context: Context,
    /// Decided while an event loop was being fed.
    pub(super) ending: Option<Ending>,
    /// Tries of the event in front, from owners before us and from this one.
    front: Option<Front>,
    caution: Caution,
    /// Held while a suspect runs: suspects of one process run one at a time.
    suspects: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
    cautious_since: Option<Instant>,
    cautious_for: Duration,
    cautious_units: u32,
}

impl Lane {
    pub(super) fn new(
        manner: Manner,
        holding: Arc<Holding>,
        committer: Committer,
        queue: Queue,
        context: Context,
        owned: &Owned,
        suspects: Arc<Semaphore>,
    ) -> Self {
        Self {
            manner,
            holding,
            committer,
            queue,
            context,
            ending: None,
            front: owned.front,
            caution: Caution::after(owned.unclean, owned.position, owned.seen, owned.last),
            suspects,
            turn: None,
            cautious_since: None,
            cautious_for: Duration::ZERO,
            cautious_units: 0,
        }
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.holding.ledger
    }

    fn say(&self, call: Call) {
        self.committer.call(self.ledger(), call);
    }

    pub(super) fn is_told_to_end(&self) -> bool {
        self.holding.close.is_cancelled() || self.holding.abort.is_cancelled()
    }

    /// The next unit, of `most` events, ready to be run: the lease is trusted, and a suspect is marked. None when the
    /// tenancy ends. Safe to drop: the unit stays in the queue.
    pub(super) async fn next_unit(&mut self, most: usize, within: Duration) -> Option<Unit> {
        loop {
            if !self.ledger().may_start() && !self.ledger().room().await {
                return None;
            }
            // With linger 0 nothing starts before Redis knows what came before; so it is with suspects.
            if self.is_careful() && !self.ledger().known().await {
                return None;
            }
            // Only now that Redis knows: had we died before, this suspect would still stand there as the one that runs.
            self.turn = None;
            let most = if self.caution.is_on() { 1 } else { most };
            let unit = self.queue.take(most, within).await?;
            if !self.holding.may_start(clock::now()) {
                self.queue.put_back(unit);
                self.wait_for_trust().await?;
                continue;
            }
            let first = unit.first().expect("a unit holds at least one event").id;
            if self.caution.applies(first, self.cautious_for, self.cautious_units) {
                self.queue.put_back(unit);
                self.mark_suspect(first).await?;
                return self.queue.take(1, Duration::ZERO).await;
            }
            return Some(unit);
        }
    }

    fn is_careful(&self) -> bool {
        self.manner.commit_linger.is_zero() || self.turn.is_some()
    }

    /// The lease is not renewed yet, perhaps it never will be.
    async fn wait_for_trust(&self) -> Option<()> {
        while !self.holding.may_start(clock::now()) {
            // Safe to drop: both only end the wait.
            tokio::select! {
                () = clock::sleep(Duration::from_millis(20)) => {}
                () = self.holding.abort.cancelled() => return None,
                () = self.holding.close.cancelled() => return None,
            }
        }
        Some(())
    }

    /// An event that may have killed its worker: marked before it starts, and alone in this process.
    async fn mark_suspect(&mut self, id: EventId) -> Option<()> {
        if self.turn.is_none() {
            // Safe to drop: a turn that was not taken is free.
            let turn = tokio::select! {
                turn = self.suspects.clone().acquire_owned() => turn,
                () = self.holding.abort.cancelled() => return None,
                () = self.holding.close.cancelled() => return None,
            };
            self.turn = turn.ok();
        }
        let fails = self.tries(id).fails;
        self.say(self.ledger().mark_front(id, fails));
        self.cautious_since = Some(clock::now());
        self.ledger().known().await.then_some(())
    }

    /// Tries of a unit so far, known by its first event.
    fn tries(&self, first: EventId) -> Front {
        self.front.filter(|front| front.id == first).unwrap_or(Front { id: first, fails: 0, crashes: 0 })
    }

    /// The context of a unit that starts now.
    pub(super) fn starts(&mut self, unit: &Unit) -> Context {
        let (first, last) = (unit.first(), unit.last());
        let (first, last) = first.zip(last).map(|(f, l)| (f.id, l.id)).expect("a unit holds at least one event");
        self.ledger().started(last);
        self.context.tenancy.in_hand.set(first);
        let tries = self.tries(first);
        let attempt = tries.fails + tries.crashes + 1;
        self.see(|| unit.iter().map(|entry| entry.id).collect(), || What::Started { attempt });
        Context { tenancy: self.context.tenancy.clone(), id: first, attempt }
    }

    /// A unit that has killed enough workers is not started again.
    pub(super) fn verdict_before(&self, first: EventId) -> Option<Fault> {
        let tries = self.tries(first);
        if tries.crashes == 0 || tries.crashes < self.manner.max_crashes {
            return None;
        }
        let error = format!(
            "this event has ended its worker {} times while it was being processed (max_crashes)",
            tries.crashes
        );
        Some(Fault { error: error.into(), is_final: true })
    }

    fn see(&self, ids: impl FnOnce() -> Vec<EventId>, what: impl FnOnce() -> What) {
        self.context.tenancy.see(ids, what);
    }

    /// A unit that failed is taken again, perhaps with more or fewer events.
    pub(super) fn put_back(&mut self, unit: Unit) {
        if let Some(last) = unit.last() {
            self.ledger().put_back(last.id);
        }
        self.queue.put_back(unit);
    }

    /// The unit was handled. Nothing is awaited here.
    pub(super) fn handled(&mut self, unit: &[EventId]) {
        self.see(|| unit.to_vec(), || What::Handled);
        self.settle(unit);
    }

    /// The next commit may pass the unit.
    fn settle(&mut self, unit: &[EventId]) {
        let Some(&last) = unit.last() else { return };
        if let Some(since) = self.cautious_since.take() {
            self.cautious_for += clock::now().since(since);
            self.cautious_units += 1;
        }
        self.front = None;
        let careful = self.is_careful();
        let call = self.ledger().settled(last, unit.len() as u64, careful);
        self.say(call);
        self.context.tenancy.in_hand.set(EventId::ZERO);
    }

    /// The unit failed: what its processor's policy makes of that.
    pub(super) async fn failed(&mut self, unit: &[EventId], fault: Fault) -> Decision {
        let Some(&first) = unit.first() else { return Decision::GoOn };
        let mut tries = self.tries(first);
        tries.fails += 1;
        self.front = Some(tries);
        let text = crate::error::chain(fault.error.as_ref());
        self.see(|| unit.to_vec(), || What::Failed { error: text.clone() });
        let decided = verdict(
            tries.fails,
            tries.crashes,
            &self.manner.retry,
            self.manner.max_crashes,
            self.manner.exception_policy,
            fault.is_final,
            Some(fastrand::f64()),
        );
        match decided {
            Verdict::RetryAfter(wait) => {
                tracing::warn!(id = %first, attempt = tries.fails, of = self.manner.retry.attempts, ?wait, error = %text, "processing failed: trying again");
                match self.wait_for_retry(first, tries.fails, wait).await {
                    Some(()) => Decision::Again,
                    None => Decision::End(Ending::Told),
                }
            }
            Verdict::Ignore => {
                tracing::error!(id = %first, events = unit.len(), error = %text, policy = "ignore", "processing failed: the event is given up");
                self.see(|| unit.to_vec(), || What::Ignored);
                self.settle(unit);
                Decision::GoOn
            }
            Verdict::Quarantine => Decision::End(Ending::Stop(self.stop(StopKind::Quarantined, first, text))),
            Verdict::Halt => Decision::End(Ending::Stop(self.stop(StopKind::Halted, first, text))),
        }
    }

    fn stop(&self, kind: StopKind, at: EventId, error: String) -> Mark {
        self.see(|| vec![at], || What::Stopped { kind });
        let policy = if kind == StopKind::Halted { "halt" } else { "quarantine" };
        tracing::error!(id = %at, error = %error, policy, "processing failed: the partition stops at this event");
        Mark { kind, at, error }
    }

    /// The count is in Redis before the next try starts, so that it survives a crash.
    async fn wait_for_retry(&mut self, first: EventId, fails: u32, wait: Duration) -> Option<()> {
        self.say(self.ledger().mark_front(first, fails));
        if !self.ledger().known().await {
            return None;
        }
        // It failed, so it is not what kills workers: the other suspects need not wait for its retries.
        self.turn = None;
        // Safe to drop: these only end the wait.
        tokio::select! {
            () = clock::sleep(wait) => {}
            () = self.holding.close.cancelled() => return None,
            () = self.holding.abort.cancelled() => return None,
        }
        self.wait_for_trust().await?;
        (!self.is_told_to_end()).then_some(())
    }

    /// The function failed without an event in hand: the same policies, marked just above the position.
    pub(super) async fn failed_without_event(&mut self, fails: u32, fault: Fault) -> Decision {
        let text = crate::error::chain(fault.error.as_ref());
        let policy = self.manner.exception_policy;
        match verdict(fails, 0, &self.manner.retry, u32::MAX, policy, fault.is_final, Some(fastrand::f64())) {
            Verdict::Quarantine => Decision::End(Ending::Stop(self.stop(StopKind::Quarantined, self.next_id(), text))),
            Verdict::Halt => Decision::End(Ending::Stop(self.stop(StopKind::Halted, self.next_id(), text))),
            Verdict::RetryAfter(wait) => {
                tracing::warn!(error = %text, ?wait, "the processor failed before its first event: starting it again");
                self.pause(wait).await
            }
            Verdict::Ignore => {
                // There is no event to give up, so all that is left is to try again, without haste.
                let wait =
                    self.manner.retry.from.saturating_mul(2u32.saturating_pow(fails.min(10))).min(self.manner.retry.to);
                tracing::error!(error = %text, ?wait, "the processor failed before its first event: starting it again");
                self.pause(wait).await
            }
        }
    }

    /// Waits before the function is started again.
    pub(super) async fn pause(&self, wait: Duration) -> Decision {
        // Safe to drop: these only end the wait.
        tokio::select! {
            () = clock::sleep(wait) => Decision::Again,
            () = self.holding.close.cancelled() => Decision::End(Ending::Told),
            () = self.holding.abort.cancelled() => Decision::End(Ending::Told),
        }
    }

    /// The next event's id if it is known, else the least one it could have.
    fn next_id(&self) -> EventId {
        let position = self.ledger().position();
        self.queue.front().map_or_else(|| position.next(), |entry| entry.id)
    }
}
