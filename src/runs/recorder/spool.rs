//! Ends that could not be written: kept in order, and sent again until they are. So are those of runs that may not have
//! begun at all.
//!
//! They are kept in memory. If the worker dies before, its runs are still open, and the leader writes their end.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Shared;
use crate::broker::OpenRun;
use crate::clock;
use crate::runs::TaskLogEvent;

/// The end of a run, to be written.
pub(super) struct Ending {
    pub(super) open: OpenRun,
    pub(super) event: TaskLogEvent,
    /// Nobody knows otherwise.
    pub(super) has_begun: bool,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Spool {
    shared: Weak<Shared>,
    endings: mpsc::UnboundedReceiver<Ending>,
}

impl Spool {
    pub(super) fn new(shared: Weak<Shared>, endings: mpsc::UnboundedReceiver<Ending>) -> Self {
        Self { shared, endings }
    }

    /// Ends when the recorder is gone.
    pub(super) async fn run(mut self) {
        while let Some(ending) = self.endings.recv().await {
            let mut pause = Duration::from_millis(200);
            loop {
                let Some(shared) = self.shared.upgrade() else { return };
                match shared.write_end(&ending, true).await {
                    Ok(()) => {
                        let TaskLogEvent { task_name, run_id, .. } = &ending.event;
                        match ending.has_begun {
                            true => tracing::info!(%task_name, %run_id, "the end of a run is in the task log at last"),
                            false => {
                                tracing::info!(%task_name, %run_id, "a run that did not start is not open any more")
                            }
                        }
                        shared.written(task_name);
                        break;
                    }
                    Err(failure) => {
                        tracing::debug!(error = %crate::error::chain(&failure), "the end of a run is not written yet")
                    }
                }
                drop(shared);
                clock::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
