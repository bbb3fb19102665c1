//! Works a partition off with a handler: each unit is one call.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::watch;

use crate::clock;
use crate::processor::middleware::Innermost;
use crate::processor::{Call, Chain, Context, Entries, Outcome, Settled, Unit};

use super::failing::{Decision, Ending, Fault};
use super::hand::Hand;
use super::lane::Lane;
use super::wrapped;

/// How one call ended.
enum Try {
    Done,
    /// It is settled without the function.
    Passed,
    Failed(Fault),
    /// Dropped in the middle: the place is gone, or the grace period over.
    Dropped,
}

/// Runs until the tenancy ends or the policy stops it.
pub(super) async fn work(lane: &mut Lane, call: &dyn Call, chain: &Chain) -> Ending {
    let (batch, within) = (lane.manner.batch, lane.manner.within);
    let mut again: Option<Entries> = None;
    loop {
        let unit = match again.take() {
            Some(unit) => unit,
            None => match lane.next_unit(batch, within).await {
                Some(unit) => unit,
                None => return Ending::Told,
            },
        };
        let (mut hand, given) = lane.take_in_hand(unit, false);
        if given.is_empty() {
            lane.passed(&hand);
            continue;
        }
        let tried = match lane.verdict_before(hand.first()) {
            Some(fault) => Try::Failed(fault),
            None => try_once(lane, call, chain, &mut hand, given).await,
        };
        match tried {
            Try::Done => lane.handled(&hand),
            Try::Passed => lane.passed(&hand),
            Try::Dropped => return Ending::Told,
            // On the heap, like all that is rare in the future of a lane.
            Try::Failed(fault) => match Box::pin(lane.failed(&hand, fault)).await {
                Decision::GoOn => {}
                Decision::End(ending) => return ending,
                Decision::Again => again = hand.into_kept(),
            },
        }
    }
}

async fn try_once(lane: &mut Lane, call: &dyn Call, chain: &Chain, hand: &mut Hand, given: Entries) -> Try {
    let context = lane.starts(hand);
    if chain.is_empty() {
        let tried = bounded(lane, None, pin!(invoke(call, given, &context))).await;
        return tried.map_or_else(|tried| tried, |()| Try::Done);
    }
    let mut unit = Unit::new(context, given, call.takes_batches());
    let timed = Some(unit.timed());
    let tried = bounded(lane, timed, pin!(run_within(chain, call, &mut unit))).await;
    hand.leave_out(unit.removed(), tried.is_err());
    match tried {
        Ok(_) if unit.is_called() => Try::Done,
        Ok(_) => Try::Passed,
        Err(tried) => tried,
    }
}

/// One try, as long as it may take; its time may stand still.
async fn bounded<T>(
    lane: &Lane,
    timed: Option<watch::Receiver<bool>>,
    attempt: Pin<&mut impl Future<Output = Result<T, Fault>>>,
) -> Result<T, Try> {
    // Dropping the user's future is what a timeout means, and what abort means: then the unit stays unsettled and is
    // delivered again. What has ended by itself has not taken too long.
    tokio::select! {
        biased;
        ended = attempt => ended.map_err(Try::Failed),
        limit = over(lane.manner.timeout, timed) => {
            let error = format!("processing took longer than its timeout of {limit:?}").into();
            Err(Try::Failed(Fault { error, is_final: false }))
        }
        () = lane.holding.abort.cancelled() => Err(Try::Dropped),
    }
}

/// Waits until the time of a unit is over, if it has a limit, and answers that.
async fn over(limit: Option<Duration>, timed: Option<watch::Receiver<bool>>) -> Duration {
    let Some(limit) = limit else { return std::future::pending().await };
    match timed {
        None => clock::sleep(limit).await,
        Some(timed) => Box::pin(has_run_for(limit, timed)).await,
    }
    limit
}

/// Waits until time has run for so long without standing still.
async fn has_run_for(limit: Duration, mut timed: watch::Receiver<bool>) {
    // The sender is the unit's own, and this ends with it.
    while timed.wait_for(|runs| *runs).await.is_ok() {
        // Both are safe to drop: they only wait.
        tokio::select! {
            () = clock::sleep(limit) => return,
            _ = timed.wait_for(|runs| !*runs) => {}
        }
    }
    std::future::pending().await
}

/// Decodes the unit and calls the function with it.
async fn invoke(call: &dyn Call, unit: Entries, context: &Context) -> Result<(), Fault> {
    // The user's function may panic before its first await as well as after it.
    let started = std::panic::catch_unwind(AssertUnwindSafe(|| call.call(unit, context)));
    let future = match started {
        Ok(Ok(future)) => AssertUnwindSafe(future).catch_unwind(),
        Ok(Err(error)) => return Err(Fault::of(error, context)),
        Err(panic) => return Err(Fault::panicked("the processor", panic)),
    };
    match future.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Fault::told(error)),
        Err(panic) => Err(Fault::panicked("the processor", panic)),
    }
}

/// The same within middleware.
async fn run_within(chain: &Chain, call: &dyn Call, unit: &mut Unit) -> Result<Settled, Fault> {
    let outcome = wrapped::run(chain, unit, &Function(call)).await;
    outcome.map_err(|error| {
        let fault = Fault::told(error);
        Fault { is_final: fault.is_final || unit.is_unreadable(), ..fault }
    })
}

/// A handler as the innermost part of a chain.
struct Function<'a>(&'a dyn Call);

#[async_trait]
impl Innermost for Function<'_> {
    async fn run(&self, unit: &mut Unit) -> Outcome {
        match invoke(self.0, unit.entries(), unit.context()).await {
            Ok(()) => Ok(Settled::Handled),
            Err(fault) => {
                if fault.is_final {
                    unit.set_unreadable();
                }
                Err(fault.error)
            }
        }
    }
}
