//! One tenancy from acquisition to release: opens the lane, works it off, commits, releases.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::broker::{Mark, Owned};
use crate::clock;
use crate::processor::extract::Tenancy;
use crate::processor::{Context, Manner, ProcessorSpec, Style};
use crate::runs::Action;
use crate::runs::output::{RunEnd, RunOutput};
use crate::runs::recorder::{Beginning, End, Recorder};
use crate::stream::current;
use crate::tasks::{Gate, Tasks};

use super::chunks;
use super::committer::Committer;
use super::failing::Ending;
use super::fetch::{Appetite, fetch};
use super::holding::Holding;
use super::lane::{Lane, LaneEnd};
use super::queue::Queue;
use super::{event_loop, handler};

/// What a tenancy needs of its executor.
pub(super) struct Opening {
    pub(super) spec: Arc<ProcessorSpec>,
    pub(super) manner: Arc<Manner>,
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) holding: Arc<Holding>,
    pub(super) owned: Box<Owned>,
    pub(super) committer: Committer,
    pub(super) appetite: Arc<Appetite>,
    pub(super) suspects: Arc<Semaphore>,
    pub(super) gate: Gate,
    pub(super) recorder: Recorder,
}

/// Runs it to its end. Dropping it drops everything of it; nothing is released then.
///
/// A partition without events costs little more than this future, of which a worker may have thousands. It is as large as
/// all that it ever holds at a time, so what is rare lies on the heap, here and further in; and the opening does, since
/// each future on its way would have room for it.
pub(super) async fn run(opening: Box<Opening>) -> LaneEnd {
    let tenancy = &opening.tenancy;
    let output = tenancy.run.0.output.clone();
    // Within that of the run, so that what is logged here finds its way there.
    let run_span = output.as_ref().map_or_else(tracing::Span::none, RunOutput::span);
    let span = tracing::info_span!(parent: &run_span, "partition", worker = %tenancy.worker, processor = %tenancy.processor,
        stream = %tenancy.stream, partition = %tenancy.partition, epoch = %tenancy.epoch);
    let handle = tenancy.handle.clone();
    let in_hand = tenancy.in_hand.clone();
    let record = opening.spec.is_recorded().then(|| opening.recorder.tenancy(Beginning::of(&tenancy.run.0)));
    let aborted = opening.holding.abort.clone();
    let end = in_hand.around(current::within(handle, run_here(opening)).instrument(span)).await;
    let told = told(&end, aborted.is_cancelled());
    if let Some(output) = output {
        let sealed = RunEnd { error: told.error.clone(), ..RunEnd::new(told.action.status()) };
        if let Err(error) = Box::pin(output.seal(sealed)).await {
            tracing::warn!(error = %crate::error::chain(&error), "the output of a tenancy was not kept to its end");
        }
    }
    if let Some(record) = record {
        record.end(told);
    }
    end
}

/// What the task log says of a tenancy that has ended.
fn told(end: &LaneEnd, is_aborted: bool) -> End {
    let said = |action, message: &str| End { action, message: message.into(), error: None };
    match end {
        LaneEnd::Closed if is_aborted => said(Action::Terminate, "what ran was dropped at the end of the grace period"),
        LaneEnd::Closed => said(Action::Success, "released"),
        LaneEnd::Lost => said(Action::Terminate, "the partition was lost: it may have another owner by now"),
        LaneEnd::Stopped(mark) => End {
            action: Action::Fail,
            message: format!("{:?} at event {}", mark.kind, mark.at).to_lowercase(),
            error: Some(mark.error.clone()),
        },
    }
}

async fn run_here(opening: Box<Opening>) -> LaneEnd {
    let Opening { spec, manner, tenancy, holding, owned, committer, appetite, suspects, gate, recorder: _ } = *opening;
    let broker = tenancy.handle.broker().clone();
    let grace = manner.grace_period;
    tracing::debug!(position = %owned.position, unclean = owned.unclean, "partition acquired");

    appetite.joined();
    let (chunks, incoming) = chunks::channel();
    let mut fetching = Tasks::behind(&gate);
    let prefetch = manner.prefetch_count as usize;
    let until = manner.last_of(tenancy.partition);
    fetching.start(fetch(broker, holding.clone(), owned.position, until, prefetch, appetite.clone(), chunks));
    let queue = Queue::new(incoming, holding.clone(), committer.clone(), !owned.done.is_empty());
    let context = Context { tenancy: tenancy.clone(), id: owned.position, attempt: 1, retried: None };
    let mut lane = Lane::new(manner, holding.clone(), committer.clone(), queue, context, &owned, suspects);
    // What was found on the way is told; the rest is in the lane by now.
    drop(owned);

    let ending = match &spec.style {
        Style::Handler(call) => handler::work(&mut lane, &**call, &spec.middleware).await,
        Style::Loop(function) => {
            let (_, ending) = Box::pin(event_loop::work(lane, &**function, &spec.middleware)).await;
            ending
        }
    };
    drop(fetching);
    appetite.left();
    Box::pin(close(&tenancy, &holding, &committer, ending, grace)).await
}

/// Commits what is settled, and gives the place up.
async fn close(
    tenancy: &Tenancy,
    holding: &Holding,
    committer: &Committer,
    ending: Ending,
    grace: Duration,
) -> LaneEnd {
    let call = holding.ledger.hurry();
    committer.call(&holding.ledger, call);
    // Safe to drop: both only look.
    let is_crowded = tokio::select! {
        is_known = holding.ledger.known() => match is_known {
            true => false,
            false => return LaneEnd::Lost,
        },
        // What waits for room was certainly not committed: whoever owns the place next gives it up again.
        () = is_crowded_too_long(holding, grace) => true,
    };
    let mark = match ending {
        Ending::Told => None,
        Ending::Stop(mark) => Some(mark),
    };
    let is_released = release(tenancy, holding, mark.as_ref(), grace).await;
    if is_crowded {
        holding.ledger.lost.cancel();
    }
    match (is_released, mark) {
        (true, Some(mark)) => LaneEnd::Stopped(mark),
        (true, None) => LaneEnd::Closed,
        (false, _) => LaneEnd::Lost,
    }
}

/// Comes to an end when there was no room for dead letters during the grace period.
async fn is_crowded_too_long(holding: &Holding, grace: Duration) {
    // Safe to drop: these only end the wait.
    tokio::select! {
        () = clock::sleep(grace) => {}
        () = holding.abort.cancelled() => {}
    }
    if !holding.ledger.crowded().await {
        // It is lost, as whoever waits beside us finds out as well.
        std::future::pending::<()>().await;
    }
}

/// Gives the place up. What cannot be released within the grace period lapses by itself.
async fn release(tenancy: &Tenancy, holding: &Holding, mark: Option<&Mark>, grace: Duration) -> bool {
    let ledger = &holding.ledger;
    let until = clock::now() + grace;
    let mut pause = Duration::from_millis(20);
    loop {
        match tenancy.handle.broker().release(&ledger.place, &ledger.fence, mark).await {
            Ok(was_ours) => {
                tracing::debug!(was_ours, "partition released");
                return was_ours;
            }
            Err(error) if error.is_transient() && clock::now() + pause < until => {
                clock::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(500));
            }
            Err(error) => {
                tracing::warn!(error = %crate::error::chain(&error), "the partition could not be released: its lease will lapse");
                return false;
            }
        }
    }
}
