//! Works a partition off with an event loop: one call for the tenancy, lent the events.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;

use crate::clock::Instant;
use crate::processor::{Chain, Loop, Settled};

use super::failing::{Decision, Ending, Fault};
use super::hand::Hand;
use super::lane::Lane;
use super::lent::Lent;
use super::wrapped::{End, Wrapped};

/// Runs until the tenancy ends or the policy stops it. The function is started again after it returned early, and
/// after a failure that its policy forgives.
pub(super) async fn work(lane: Lane, function: &dyn Loop, chain: &Chain) -> (Lane, Ending) {
    // Lent for each call and given back, which costs a pointer this way.
    let mut turn = Box::new(Turn { lane, chain: chain.clone(), in_hand: None, retry_at: None, taken: 0, broken: None });
    let mut barren: u32 = 0;
    let mut warned = false;
    loop {
        let (back, outcome) = call(turn, function).await;
        turn = back;
        barren = if turn.taken == 0 { barren + 1 } else { 0 };
        turn.taken = 0;
        let Some(outcome) = outcome else { return (turn.lane, Ending::Told) };
        let fault = turn.broken.take().or(outcome.err());
        let failed = fault.is_some();
        let Some(close) = turn.close(fault).await else { return (turn.lane, Ending::Told) };
        let decision = match close {
            Closed::Failed(hand, fault) => {
                let decision = Box::pin(turn.lane.failed(&hand, fault)).await;
                if matches!(decision, Decision::Again) {
                    turn.lane.put_back(hand);
                }
                decision
            }
            // Decided while it was being fed; it was told that there is no more, whatever it makes of that.
            Closed::Settled(_) if turn.lane.ending.is_some() => {
                let ending = turn.lane.ending.take().unwrap_or(Ending::Told);
                return (turn.lane, ending);
            }
            Closed::Settled(Some(fault)) => turn.lane.failed_without_event(barren.max(1), fault).await,
            Closed::Settled(None) => {
                if turn.lane.is_told_to_end() {
                    return (turn.lane, Ending::Told);
                }
                if !failed && !std::mem::replace(&mut warned, true) {
                    tracing::warn!("the event loop returned although its partition is still owned: starting it again");
                }
                // A loop that takes nothing would spin.
                turn.lane.pause(Duration::from_millis(100) * barren.min(10)).await
            }
        };
        if let Decision::End(ending) = decision {
            return (turn.lane, ending);
        }
    }
}

/// One call of the function. None: it was dropped, the place is gone or the grace period over.
async fn call(turn: Box<Turn>, function: &dyn Loop) -> (Box<Turn>, Option<Result<(), Fault>>) {
    let context = turn.lane.context.clone();
    let abort = turn.lane.holding.abort.clone();
    let back = Back::default();
    let lent = Lent::new(turn, back.clone());
    let outcome = {
        // The user's function may panic before its first await as well as after it.
        let future = std::panic::catch_unwind(AssertUnwindSafe(|| function.run(Box::new(lent), context)));
        match future {
            Err(panic) => Some(Err(Fault::panicked("the processor", panic))),
            // Dropping the user's future is what abort means: what is in hand stays unsettled and is delivered again.
            Ok(future) => tokio::select! {
                biased;
                outcome = AssertUnwindSafe(future).catch_unwind() => Some(match outcome {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(Fault::told(error)),
                    Err(panic) => Err(Fault::panicked("the processor", panic)),
                }),
                () = abort.cancelled() => None,
            },
        }
    };
    let turn = back.lock().expect("no code panics while it holds this lock").take();
    (turn.expect("the feed was dropped with the future, and gave back what it was lent"), outcome)
}

/// Where what was lent is given back.
pub(super) type Back = Arc<Mutex<Option<Box<Turn>>>>;

/// What the function works on while it is called, and what is left of that afterwards.
pub(super) struct Turn {
    pub(super) lane: Lane,
    pub(super) chain: Chain,
    pub(super) in_hand: Option<InHand>,
    /// What failed before the function had it waits until then.
    pub(super) retry_at: Option<Instant>,
    /// Events taken in this call.
    pub(super) taken: u64,
    /// What the function could not go on from: whatever it returns, this is why it failed.
    pub(super) broken: Option<Fault>,
}

/// A unit, and how far it is.
pub(super) struct InHand {
    pub(super) hand: Hand,
    /// Its middleware, until that has ended.
    pub(super) wrapped: Option<Wrapped>,
    /// The function has it, or had it.
    pub(super) is_out: bool,
    /// The function does not want to handle it.
    pub(super) is_skipped: bool,
}

/// What is left of a call.
enum Closed {
    /// The unit in hand has failed.
    Failed(Hand, Fault),
    /// What was in hand is settled or put back; the function may have failed all the same.
    Settled(Option<Fault>),
}

impl Turn {
    /// The function has ended: so does what it had in hand. None: it is dropped.
    async fn close(&mut self, fault: Option<Fault>) -> Option<Closed> {
        let Some(mut in_hand) = self.in_hand.take() else { return Some(Closed::Settled(fault)) };
        if !in_hand.is_out {
            self.lane.put_back(in_hand.hand);
            return Some(Closed::Settled(fault));
        }
        let Some(mut wrapped) = in_hand.wrapped.take() else {
            if let Some(fault) = fault {
                return Some(Closed::Failed(in_hand.hand, fault));
            }
            self.lane.handled(&in_hand.hand);
            return Some(Closed::Settled(None));
        };
        // What was skipped, or left behind by asking for more, is not what a failure is about.
        let is_about_it = !in_hand.is_skipped && !wrapped.is_told();
        let is_final = is_about_it && fault.as_ref().is_some_and(|fault| fault.is_final);
        let (told, left) = match fault {
            Some(fault) if is_about_it => (Err(fault.error), None),
            fault => (Ok(if in_hand.is_skipped { Settled::Passed } else { Settled::Handled }), fault),
        };
        wrapped.tell(|| told);
        let abort = self.lane.holding.abort.clone();
        // Dropping it is what abort means: the unit stays unsettled and is delivered again.
        let end = tokio::select! {
            biased;
            end = wrapped.ended() => end,
            () = abort.cancelled() => return None,
        };
        Some(match self.settle(in_hand.hand, end) {
            Ok(()) => Closed::Settled(left),
            Err((hand, mut fault)) => {
                fault.is_final |= is_final;
                Closed::Failed(hand, fault)
            }
        })
    }

    /// Settles a unit whose middleware has ended, unless that failed. Nothing is awaited here.
    #[allow(clippy::result_large_err, reason = "rare, and whoever gets it takes it apart at once")]
    pub(super) fn settle(&mut self, mut hand: Hand, end: End) -> Result<(), (Hand, Fault)> {
        hand.leave_out(&end.removed, end.outcome.is_err());
        match end.outcome {
            // Also what it has skipped: it was given that.
            Ok(_) if end.is_called => self.lane.handled(&hand),
            Ok(_) => self.lane.passed(&hand),
            Err(error) => return Err((hand, Fault::told(error))),
        }
        Ok(())
    }
}
