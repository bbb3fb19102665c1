//! Tenancies as runs: begun and ended beside the work, which waits for neither.
//!
//! A partition whose begin cannot be written is processed all the same, whatever `task_log_policy` says: a log that is
//! full must not stop what it is about.

use std::sync::Weak;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::{Beginning, End, Recorder, Shared};

/// The record of a tenancy that has begun. Dropping it writes no end: that is what a crash looks like.
pub(crate) struct TenancyRecord(oneshot::Sender<End>);

pub(super) struct Opened {
    beginning: Beginning,
    end: oneshot::Receiver<End>,
}

impl TenancyRecord {
    pub(super) fn open(desk: &mpsc::UnboundedSender<Opened>, beginning: Beginning) -> Self {
        let (said, end) = oneshot::channel();
        // It only fails when the worker is being dropped.
        let _ = desk.send(Opened { beginning, end });
        Self(said)
    }

    /// The tenancy has ended.
    pub(crate) fn end(self, end: End) {
        let _ = self.0.send(end);
    }
}

/// Writes tenancies down, each in its order, until the recorder is gone and all are written.
pub(super) async fn desk(shared: Weak<Shared>, mut opened: mpsc::UnboundedReceiver<Opened>) {
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

async fn write(shared: Weak<Shared>, opened: Opened) {
    let Opened { beginning, end } = opened;
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
