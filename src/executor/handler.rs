//! Works a partition off with a handler: each unit is one call.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::event::EventId;
use crate::processor::{Call, Context, Unit};

use super::lane::{Decision, Ending, Fault, Lane};

/// How one call ended.
enum Try {
    Done,
    Failed(Fault),
    /// Dropped in the middle: the place is gone, or the grace period over.
    Dropped,
}

/// Runs until the tenancy ends or the policy stops it.
pub(super) async fn work(lane: &mut Lane, call: &dyn Call) -> Ending {
    let (batch, within) = (lane.manner.batch, lane.manner.within);
    while let Some(unit) = lane.next_unit(batch, within).await {
        let ids: smallvec::SmallVec<[EventId; 1]> = unit.iter().map(|entry| entry.id).collect();
        let mut spare = Some(unit);
        loop {
            let unit = spare.take().expect("a unit is put back before it is tried again");
            // Kept only where it can be needed again: cloning it costs as much as queueing it.
            let copy = (lane.manner.retry.attempts > 1).then(|| unit.clone());
            let tried = match lane.verdict_before(ids[0]) {
                Some(fault) => Try::Failed(fault),
                None => try_once(lane, call, unit).await,
            };
            let decision = match tried {
                Try::Done => {
                    lane.handled(&ids);
                    Decision::GoOn
                }
                Try::Dropped => return Ending::Told,
                Try::Failed(fault) => lane.failed(&ids, fault).await,
            };
            match decision {
                Decision::GoOn => break,
                Decision::End(ending) => return ending,
                Decision::Again => spare = copy,
            }
        }
    }
    Ending::Told
}

async fn try_once(lane: &mut Lane, call: &dyn Call, unit: Unit) -> Try {
    let context = lane.starts(&unit);
    match lane.manner.timeout {
        None => run(lane, call, unit, &context).await,
        Some(limit) => match tokio::time::timeout(limit, run(lane, call, unit, &context)).await {
            Ok(tried) => tried,
            Err(_) => Try::Failed(Fault {
                error: format!("processing took longer than its timeout of {limit:?}").into(),
                is_final: false,
            }),
        },
    }
}

async fn run(lane: &Lane, call: &dyn Call, unit: Unit, context: &Context) -> Try {
    // The user's function may panic before its first await as well as after it.
    let started = std::panic::catch_unwind(AssertUnwindSafe(|| call.call(unit, context)));
    let future = match started {
        Ok(Ok(future)) => AssertUnwindSafe(future).catch_unwind(),
        Ok(Err(error)) => return Try::Failed(Fault::of(error, context)),
        Err(panic) => return Try::Failed(Fault::panicked(panic)),
    };
    // Dropping the user's future is what abort means: the unit stays unsettled and is delivered again.
    tokio::select! {
        biased;
        outcome = future => match outcome {
            Ok(Ok(())) => Try::Done,
            Ok(Err(error)) => Try::Failed(Fault { error, is_final: false }),
            Err(panic) => Try::Failed(Fault::panicked(panic)),
        },
        () = lane.holding.abort.cancelled() => Try::Dropped,
    }
}
