//! The begin of a run, which is there once at most: it may be sent again, and what was sent may arrive late.
//!
//! After the run's end the store refuses it. Where nobody said whether it arrived, and the run does not start (or goes
//! unrecorded), it is taken back: it would be open for as long as this worker lives.

use std::time::Duration;

use super::spool::Ending;
use super::{End, Shared, Tries};
use crate::broker::{Begun, OpenRun};
use crate::error::{Doing, Failure};
use crate::runs::tasks::TASKS_SIZE;
use crate::runs::{Action, TaskLogEvent};

/// How the begin of a run was written.
pub(super) enum Written {
    /// It was.
    Begun,
    /// It was not: another activation of the run is open.
    Taken,
    /// It was not: this activation has ended.
    Over,
}

impl Shared {
    /// Err: it is not in the log, or will soon have an end there.
    pub(super) async fn write_begin(&self, open: &OpenRun, event: &TaskLogEvent) -> Result<Written, Failure> {
        let (mut tries, mut may_arrive) = (Tries::default(), false);
        loop {
            let failure = match self.try_to_begin(open, event).await {
                Ok(written) => return Ok(written),
                Err(failure) => failure,
            };
            may_arrive |= matches!(&failure, Failure::Broker { source, .. } if !source.is_certain());
            if let Err(failure) = tries.after(failure).await {
                if may_arrive {
                    self.take_back(open, event);
                }
                return Err(failure);
            }
        }
    }

    async fn try_to_begin(&self, open: &OpenRun, event: &TaskLogEvent) -> Result<Written, Failure> {
        let doing = || "log the begin of a run".to_owned();
        let (stream, entry) = self.entry(event).await?;
        let broker = self.handle.broker();
        let begin = || broker.begin_run(&stream, entry.partition, open, &entry.fields, TASKS_SIZE);
        let mut begun = begin().await.doing(doing)?;
        if matches!(begun, Begun::Full { .. }) {
            // What the projection has passed may go; the owner of the partition does that only now and then.
            let _ = broker.trim(&stream, entry.partition).await;
            begun = begin().await.doing(doing)?;
        }
        match begun {
            Begun::Now(_) | Begun::Before => Ok(Written::Begun),
            Begun::Taken { .. } => Ok(Written::Taken),
            Begun::Over => Ok(Written::Over),
            Begun::Full { length } => Err(Failure::Full(format!(
                "partition {} of the task log is full ({length} events): is its processor `__runlog` stopped? See `status`",
                entry.partition
            ))),
        }
    }

    /// Ends what may have begun, and keeps from beginning what has not. Sent until it is answered, as every end is.
    fn take_back(&self, open: &OpenRun, event: &TaskLogEvent) {
        let message = "given up: the store did not say whether its begin was written".to_owned();
        let end = End { action: Action::Terminate, message, error: None };
        let event = self.author.end(event.clone(), Duration::ZERO, end);
        self.keep(Ending { open: open.clone(), event, has_begun: false });
    }
}
