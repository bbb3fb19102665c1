//! Works a partition off with an event loop: one call for the tenancy, lent the events.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;

use crate::codec::DecodeError;
use crate::event::EventId;
use crate::processor::{Context, Feed, Loop, Unit, UnitError};

use super::lane::{Decision, Ending, Fault, Lane};

/// Runs until the tenancy ends or the policy stops it. The function is started again after it returned early, and
/// after a failure that its policy forgives.
pub(super) async fn work(lane: Lane, function: &dyn Loop) -> (Lane, Ending) {
    let mut turn = Turn { lane, in_hand: None, taken: 0, unreadable: None };
    let mut barren: u32 = 0;
    let mut warned = false;
    loop {
        let (back, outcome) = call(turn, function).await;
        turn = back;
        barren = if turn.taken == 0 { barren + 1 } else { 0 };
        turn.taken = 0;
        let hand = turn.in_hand.take();
        let failed = match (outcome, turn.unreadable.take()) {
            (None, _) => return (turn.lane, Ending::Told),
            (Some(_), Some((id, error))) => Some(Fault::of(UnitError::Decode(id, error), &turn.lane.context)),
            (Some(outcome), None) => outcome.err(),
        };
        let decision = match (failed, hand) {
            (None, hand) => {
                if let Some(unit) = hand {
                    turn.lane.handled(&ids(&unit));
                }
                if let Some(ending) = turn.lane.ending.take() {
                    return (turn.lane, ending);
                }
                if turn.lane.is_told_to_end() {
                    return (turn.lane, Ending::Told);
                }
                if !std::mem::replace(&mut warned, true) {
                    tracing::warn!("the event loop returned although its partition is still owned: starting it again");
                }
                // A loop that takes nothing would spin.
                turn.lane.pause(Duration::from_millis(100) * barren.min(10)).await
            }
            (Some(fault), Some(unit)) => {
                let decision = turn.lane.failed(&ids(&unit), fault).await;
                if matches!(decision, Decision::Again) {
                    turn.lane.put_back(unit);
                }
                decision
            }
            (Some(fault), None) => turn.lane.failed_without_event(barren.max(1), fault).await,
        };
        if let Decision::End(ending) = decision {
            return (turn.lane, ending);
        }
    }
}

fn ids(unit: &Unit) -> Vec<EventId> {
    unit.iter().map(|entry| entry.id).collect()
}

/// One call of the function. None: it was dropped, the place is gone or the grace period over.
async fn call(turn: Turn, function: &dyn Loop) -> (Turn, Option<Result<(), Fault>>) {
    let context = turn.lane.context.clone();
    let abort = turn.lane.holding.abort.clone();
    let back = Back::default();
    let lent = Lent { turn: Some(turn), back: back.clone() };
    let outcome = {
        // The user's function may panic before its first await as well as after it.
        let future = std::panic::catch_unwind(AssertUnwindSafe(|| function.run(Box::new(lent), context)));
        match future {
            Err(panic) => Some(Err(Fault::panicked(panic))),
            // Dropping the user's future is what abort means: what is in hand stays unsettled and is delivered again.
            Ok(future) => tokio::select! {
                biased;
                outcome = AssertUnwindSafe(future).catch_unwind() => Some(match outcome {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(Fault { error, is_final: false }),
                    Err(panic) => Err(Fault::panicked(panic)),
                }),
                () = abort.cancelled() => None,
            },
        }
    };
    let turn = back.lock().expect("no code panics while it holds this lock").take();
    (turn.expect("the feed was dropped with the future, and gave back what it was lent"), outcome)
}

/// What the function works on while it is called, and what is left of that afterwards.
struct Turn {
    lane: Lane,
    in_hand: Option<Unit>,
    /// Events taken in this call.
    taken: u64,
    unreadable: Option<(EventId, DecodeError)>,
}

type Back = Arc<Mutex<Option<Turn>>>;

/// The function's side of it. The function's future must own it, so it gives back what it was lent when it is dropped.
struct Lent {
    turn: Option<Turn>,
    back: Back,
}

impl Lent {
    fn turn(&mut self) -> &mut Turn {
        self.turn.as_mut().expect("it is only given back when this is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.back.lock().expect("no code panics while it holds this lock") = self.turn.take();
    }
}

#[async_trait]
impl Feed for Lent {
    async fn next(&mut self, most: usize, within: Duration) -> Option<Unit> {
        let turn = self.turn();
        if let Some(unit) = turn.in_hand.take() {
            turn.lane.handled(&ids(&unit));
        }
        loop {
            let unit = turn.lane.next_unit(most, within).await?;
            let first = unit.first().expect("a unit holds at least one event").id;
            let Some(fault) = turn.lane.verdict_before(first) else {
                turn.lane.context = turn.lane.starts(&unit);
                turn.taken += unit.len() as u64;
                turn.in_hand = Some(unit.clone());
                return Some(unit);
            };
            // It has killed enough workers: the policy decides without the function.
            match turn.lane.failed(&ids(&unit), fault).await {
                Decision::GoOn => {}
                Decision::Again => turn.lane.queue.put_back(unit),
                Decision::End(ending) => {
                    turn.lane.ending = Some(ending);
                    return None;
                }
            }
        }
    }

    fn refusal(&self, most: usize, within: Duration) -> Option<String> {
        let grace = self.turn.as_ref().map(|turn| turn.lane.manner.grace_period)?;
        if most == 0 {
            return Some("`take(0, ..)` would never be full".into());
        }
        (within >= grace)
            .then(|| format!("`take` within {within:?}: that must be shorter than `grace_period` ({grace:?})"))
    }

    fn note_decode_error(&mut self, id: EventId, error: DecodeError) {
        self.turn().unreadable = Some((id, error));
    }

    fn skip(&mut self) {
        let turn = self.turn();
        if let Some(unit) = turn.in_hand.take() {
            turn.lane.handled(&ids(&unit));
        }
    }

    fn context(&self) -> Context {
        self.turn.as_ref().map(|turn| turn.lane.context.clone()).expect("it is only given back when this is dropped")
    }
}
