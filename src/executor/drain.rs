//! The end of an executor: takes nothing new, finishes, commits, releases, leaves.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;

use super::{Executor, Report};

impl Executor {
    /// Takes nothing new; closes what is owned, and leaves.
    pub(super) async fn drain(&mut self, abort: CancellationToken) {
        // Leaving first lets the others plan without us while we still finish; the fence keeps what is ours.
        let leave = self.leaving();
        self.tasks.start(leave);
        self.ownership.planned([], clock::now());
        let until = clock::now() + self.manner.grace_period;
        let mut patient = true;
        while !self.lanes.is_empty() || self.wishes.values().any(|wish| wish.asked) {
            self.take_steps();
            if abort.is_cancelled() || (patient && clock::now() >= until) {
                if std::mem::replace(&mut patient, false) && !self.lanes.is_empty() {
                    tracing::warn!(processor = %self.group.processor, grace = ?self.manner.grace_period, partitions = self.lanes.len(),
                        "the grace period is over: dropping what runs; it will be delivered again");
                }
                self.places.values().for_each(|place| place.holding.abort.cancel());
            }
            if !patient && clock::now() >= until + LAST_WORDS {
                break;
            }
            let wake = self.next_wake().min(if patient { until } else { until + LAST_WORDS });
            // All are safe to drop, as above.
            tokio::select! {
                Some(report) = self.tasks.next() => self.told(report),
                Some(report) = self.lanes.next() => self.told(report),
                () = abort.cancelled(), if patient => {}
                () = clock::sleep_until(wake) => self.maintain(),
            }
        }
        self.lanes.abort();
        self.tasks.abort();
        let silence_and_leave = async {
            // A beat that is still on its way would put us back on the roster after we left.
            while self.tasks.next().await.is_some() {}
            self.leaving().await
        };
        // Safe to drop: who is not told will notice.
        tokio::select! {
            _ = silence_and_leave => {}
            () = clock::sleep(GOODBYE) => {}
        }
    }

    pub(super) fn leaving(&self) -> impl Future<Output = Report> + Send + 'static {
        let (broker, group, me) = (self.around.handle.broker().clone(), self.group.clone(), self.around.worker.clone());
        async move {
            if let Err(error) = broker.leave(&group, &me).await {
                tracing::debug!(processor = %group.processor, %error, "could not leave the roster: the others will notice");
            }
            Report::Done
        }
    }
}

/// After the grace period: time to commit and release what had been settled.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a store that does not answer may hold up the end.
const GOODBYE: Duration = Duration::from_secs(1);
