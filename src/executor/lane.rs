//! One owned partition, one task: take a unit, have it handled, settle it, take the next.
//!
//! It never looks at two units of its partition at once; that is the whole ordering guarantee. It does not know why it
//! was opened or closed: see [`rebalance`](super::rebalance).

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::broker::{Front, Mark, NewLetter, Owned};
use crate::clock::{self, Instant};
use crate::decide::caution::Caution;
use crate::decide::verdict::Policy;
use crate::event::EventId;
use crate::processor::{Context, Entries, Manner};
use crate::witness::What;

use super::committer::Committer;
use super::failing::{Ending, Fault};
use super::hand::Hand;
use super::holding::Holding;
use super::ledger::{Call, Ledger};
use super::outbox::Piece;
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

/// What both styles of processors share while they work a partition off.
pub(super) struct Lane {
    pub(super) manner: Arc<Manner>,
    pub(super) holding: Arc<Holding>,
    pub(super) committer: Committer,
    pub(super) queue: Queue,
    pub(super) context: Context,
    /// Decided while an event loop was being fed.
    pub(super) ending: Option<Ending>,
    /// Tries of the event in front, from owners before us and from this one.
    pub(super) front: Option<Front>,
    caution: Caution,
    /// Held while a suspect runs: suspects of one process run one at a time.
    suspects: Arc<Semaphore>,
    pub(super) turn: Option<OwnedSemaphorePermit>,
    cautious_since: Option<Instant>,
    cautious_for: Duration,
    cautious_units: u32,
}

impl Lane {
    pub(super) fn new(
        manner: Arc<Manner>,
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

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.holding.ledger
    }

    pub(super) fn say(&self, call: Call) {
        self.committer.call(self.ledger(), call);
    }

    pub(super) fn is_told_to_end(&self) -> bool {
        self.holding.close.is_cancelled() || self.holding.abort.is_cancelled()
    }

    /// The next unit, of `most` events, ready to be run: the lease is trusted, and a suspect is marked. None when the
    /// tenancy ends. Safe to drop: the unit stays in the queue.
    pub(super) async fn next_unit(&mut self, most: usize, within: Duration) -> Option<Entries> {
        loop {
            if !self.ledger().may_start() && !self.unless_told_to_end(pin!(self.ledger().room())).await {
                return None;
            }
            // With linger 0 nothing starts before Redis knows what came before; so it is with suspects.
            if self.is_careful() && !self.unless_told_to_end(pin!(self.ledger().known())).await {
                return None;
            }
            // Only now that Redis knows: had we died before, this suspect would still stand there as the one that runs.
            self.turn = None;
            let most = if self.caution.is_on() { 1 } else { most };
            let unit = self.queue.take(most, within).await?;
            if !self.holding.may_start(clock::now()) {
                self.queue.put_back(unit);
                Box::pin(self.wait_for_trust()).await?;
                continue;
            }
            let first = unit.first().expect("a unit holds at least one event").id;
            if self.caution.applies(first, self.cautious_for, self.cautious_units) {
                self.queue.put_back(unit);
                Box::pin(self.mark_suspect(first)).await?;
                return self.queue.take(1, Duration::ZERO).await;
            }
            return Some(unit);
        }
    }

    /// Waits for what may not come before there is room for dead letters. False: it is not to be waited for any more.
    pub(super) async fn unless_told_to_end(&self, wait: Pin<&mut impl Future<Output = bool>>) -> bool {
        // Safe to drop: all only end the wait.
        tokio::select! {
            biased;
            came = wait => came,
            () = self.holding.close.cancelled() => false,
            () = self.holding.abort.cancelled() => false,
        }
    }

    fn is_careful(&self) -> bool {
        self.manner.commit_linger.is_zero() || self.turn.is_some()
    }

    /// The lease is not renewed yet, perhaps it never will be.
    pub(super) async fn wait_for_trust(&self) -> Option<()> {
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
        self.unless_told_to_end(pin!(self.ledger().known())).await.then_some(())
    }

    /// Tries of a unit so far, known by its first event.
    pub(super) fn tries(&self, first: EventId) -> Front {
        self.front.filter(|front| front.id == first).unwrap_or(Front { id: first, fails: 0, crashes: 0 })
    }

    /// Takes a unit in hand, and answers what of it is to be given to the function. It is kept for another try, for
    /// letters, and wherever else it may be needed again.
    pub(super) fn take_in_hand(&self, unit: Entries, is_needed_again: bool) -> (Hand, Entries) {
        let keep = is_needed_again || self.manner.retry.attempts > 1 || self.manner.policy == Policy::DeadLetter;
        Hand::take(unit, &self.context.tenancy.processor, self.manner.shows, keep)
    }

    /// The context of a unit that starts now.
    pub(super) fn starts(&mut self, hand: &Hand) -> Context {
        self.ledger().started(hand.last());
        let id = hand.first_given.unwrap_or(hand.first());
        self.context.tenancy.in_hand.set(id);
        let tries = self.tries(hand.first());
        let attempt = tries.fails + tries.crashes + 1;
        self.see(|| hand.given(), || What::Started { attempt });
        Context { tenancy: self.context.tenancy.clone(), id, attempt, retried: hand.retried }
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

    pub(super) fn see(&self, ids: impl FnOnce() -> Vec<EventId>, what: impl FnOnce() -> What) {
        self.context.tenancy.see(ids, what);
    }

    /// A unit that was kept is taken again, perhaps with more or fewer events.
    pub(super) fn put_back(&mut self, hand: Hand) {
        self.ledger().put_back(hand.last());
        self.queue.put_back(hand.into_kept().expect("what may be put back is kept"));
    }

    /// The unit was handled. Nothing is awaited here.
    pub(super) fn handled(&mut self, hand: &Hand) {
        self.see(|| hand.given(), || What::Handled);
        self.see_passed(hand);
        self.settle(hand, Vec::new());
    }

    /// The unit is settled, and its function was given nothing of it. Nothing is awaited here.
    pub(super) fn passed(&mut self, hand: &Hand) {
        self.ledger().started(hand.last());
        self.see(|| hand.ids.to_vec(), || What::Passed);
        self.settle(hand, Vec::new());
    }

    pub(super) fn see_passed(&self, hand: &Hand) {
        if !hand.uncalled.is_empty() {
            self.see(|| hand.uncalled.clone(), || What::Passed);
        }
    }

    /// The next commit may pass the unit; letters go with it.
    pub(super) fn settle(&mut self, hand: &Hand, letters: Vec<(EventId, NewLetter)>) {
        let last = hand.last();
        if let Some(since) = self.cautious_since.take() {
            self.cautious_for += clock::now().since(since);
            self.cautious_units += 1;
        }
        self.front = None;
        let careful = self.is_careful();
        let call = match letters.is_empty() {
            true => self.ledger().settled(last, hand.ids.len() as u64, careful),
            false => self.ledger().given_up(last, Piece::of(&hand.ids, letters), careful),
        };
        self.say(call);
        self.context.tenancy.in_hand.set(EventId::ZERO);
    }
}
