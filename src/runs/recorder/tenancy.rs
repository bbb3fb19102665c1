//! Tenancies as runs: begun and ended beside the work, which waits for neither.
//!
//! A partition whose begin cannot be written is processed all the same, whatever `task_log_policy` says: a log that is
//! full must not stop what it is about.

use std::sync::Weak;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Beginning, End, Recorder, Recording, Refused, Shared};

/// The record of a tenancy that has begun. Dropping it writes no end: that is what a crash looks like.
pub(crate) struct TenancyRecord(oneshot::Sender<End>);

/// What is written beside the work.
pub(super) enum Work {
    /// A tenancy, from its begin to its end.
    Tenancy(Opened),
    /// The end of a run that was dropped.
    Cut(Box<Recording>, End),
}

pub(super) struct Opened {
    beginning: Beginning,
    end: oneshot::Receiver<End>,
}

impl TenancyRecord {
    pub(super) fn open(desk: &mpsc::UnboundedSender<Work>, beginning: Beginning) -> Self {
        let (said, end) = oneshot::channel();
        // It only fails when the worker is being dropped.
        let _ = desk.send(Work::Tenancy(Opened { beginning, end }));
        Self(said)
    }

    /// The tenancy has ended.
    pub(crate) fn end(self, end: End) {
        let _ = self.0.send(end);
    }
}

/// So many are being written at a time. A worker may begin thousands of tenancies at once, whose leases matter more.
const AT_ONCE: usize = 64;

/// Writes tenancies down, each in its order, until the recorder is gone and all are written.
pub(super) async fn desk(shared: Weak<Shared>, mut opened: mpsc::UnboundedReceiver<Work>) {
    let turns = Semaphore::new(AT_ONCE);
    let mut under_way = FuturesUnordered::new();
    loop {
        // Both are safe to drop: `recv` loses nothing, and the futures stay in their set.
        tokio::select! {
            next = opened.recv() => match next {
                Some(next) => under_way.push(write(shared.clone(), &turns, next)),
                None => break,
            },
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
}

async fn write(shared: Weak<Shared>, turns: &Semaphore, work: Work) {
    let Opened { beginning, end: end_of_tenancy } = match work {
        Work::Tenancy(opened) => opened,
        Work::Cut(recording, told) => {
            if let Err(refused) = Box::pin(end(&shared, turns, recording, told)).await {
                tracing::warn!("{}", refused.why);
            }
            return;
        }
    };
    let (task_name, partition) = (beginning.task_name.clone(), beginning.partition);
    // What is under way lies on the heap: of a tenancy that lasts, only what its end needs stays.
    let recording = match Box::pin(begin(&shared, turns, beginning)).await {
        Some(Ok(recording)) => recording,
        Some(Err(refused)) => {
            tracing::warn!(processor = %task_name, ?partition, "{}; the partition is processed all the same", refused.why);
            return;
        }
        None => return,
    };
    // What has no begin in the log needs no end there.
    if recording.open.is_none() {
        return;
    }
    let Ok(told) = end_of_tenancy.await else { return };
    if let Err(refused) = Box::pin(end(&shared, turns, recording, told)).await {
        tracing::warn!(processor = %task_name, ?partition, "{}", refused.why);
    }
}

/// None if the worker is gone.
async fn begin(
    shared: &Weak<Shared>,
    turns: &Semaphore,
    beginning: Beginning,
) -> Option<Result<Box<Recording>, Refused>> {
    let _turn = turns.acquire().await.ok()?;
    // Held weakly while the tenancy lasts, so that a worker which ends is not kept by its own records.
    let recorder = shared.upgrade().map(Recorder)?;
    Some(recorder.begin(beginning).await.map(Box::new))
}

async fn end(shared: &Weak<Shared>, turns: &Semaphore, recording: Box<Recording>, end: End) -> Result<(), Refused> {
    let _turn = turns.acquire().await;
    match shared.upgrade().map(Recorder) {
        Some(recorder) => recorder.end(*recording, end).await,
        None => Ok(()),
    }
}
