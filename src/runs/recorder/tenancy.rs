//! Tenancies as runs: begun and ended beside the work, which waits for neither.
//!
//! A partition whose begin cannot be written is processed all the same, whatever `task_log_policy` says: a log that is
//! full must not stop what it is about.

use std::sync::Weak;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::{Beginning, End, Recorder, Recording, Shared};

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

/// Writes tenancies down, each in its order, until the recorder is gone and all are written.
pub(super) async fn desk(shared: Weak<Shared>, mut opened: mpsc::UnboundedReceiver<Work>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        // Both are safe to drop: `recv` loses nothing, and the futures stay in their set.
        tokio::select! {
            next = opened.recv() => match next {
                Some(next) => under_way.push(write(shared.clone(), next)),
                None => break,
            },
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
}

async fn write(shared: Weak<Shared>, work: Work) {
    let Opened { beginning, end } = match work {
        Work::Tenancy(opened) => opened,
        Work::Cut(recording, end) => {
            let Some(recorder) = shared.upgrade().map(Recorder) else { return };
            if let Err(refused) = recorder.end(*recording, end).await {
                tracing::warn!("{}", refused.why);
            }
            return;
        }
    };
    let (task_name, partition) = (beginning.task_name.clone(), beginning.partition);
    let Some(recorder) = shared.upgrade().map(Recorder) else { return };
    let begun = recorder.begin(beginning).await;
    // Held weakly while it lasts, so that a worker which ends is not kept by its own records.
    drop(recorder);
    let recording = match begun {
        Ok(recording) => recording,
        Err(refused) => {
            tracing::warn!(processor = %task_name, ?partition, "{}; the partition is processed all the same", refused.why);
            return;
        }
    };
    let Ok(end) = end.await else { return };
    if let Some(recorder) = shared.upgrade().map(Recorder)
        && let Err(refused) = recorder.end(recording, end).await
    {
        tracing::warn!(processor = %task_name, ?partition, "{}", refused.why);
    }
}
