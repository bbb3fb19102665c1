//! Keeps what is owned: renews leases, trims what every processor has settled. Finds out which partitions are not stopped
//! any more although the group was told so.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, BrokerError, Group, Note, Renewed, Trimmed};
use crate::clock::{self, Instant};
use crate::event::Partition;

use super::holding::Holding;
use super::{AGAIN, Executor, Report, TRIM_EVERY};

/// What became of one renewal.
pub(crate) struct Renewal {
    holding: Arc<Holding>,
    answer: Result<Renewed, BrokerError>,
}

impl Executor {
    pub(super) fn renew(&mut self, now: Instant) {
        self.next_renewal = now + self.manner.lock_expiry / 3;
        let holdings: Vec<Arc<Holding>> = self.places.values().map(|place| place.holding.clone()).collect();
        if holdings.is_empty() {
            return;
        }
        self.renewing = true;
        let (broker, ttl) = (self.around.handle.broker().clone(), self.manner.lock_expiry);
        self.tasks.start(async move {
            let renewals: Vec<_> = holdings.iter().map(|holding| holding.renewal(ttl)).collect();
            let sent = clock::now();
            let answers = broker.renew(&renewals).await;
            let answers = holdings.into_iter().zip(answers);
            Report::Renewed { sent, answers: answers.map(|(holding, answer)| Renewal { holding, answer }).collect() }
        });
    }

    pub(super) fn renewed(&mut self, sent: Instant, answers: Vec<Renewal>) {
        self.renewing = false;
        let mut unanswered = None;
        for Renewal { holding, answer } in answers {
            let partition = holding.ledger.place.partition;
            match answer {
                Ok(Renewed::Ours { entries_read, notes, .. }) => {
                    holding.renewed(sent);
                    if self.membership.told_stopped(partition).is_some() {
                        self.note_stopped(partition, None);
                    }
                    self.tell_notes(partition, &notes);
                    holding.ledger.repaired(entries_read);
                    if notes.iter().any(|note| !matches!(note, Note::Gap { .. })) {
                        holding.ledger.lost.cancel();
                    }
                }
                Ok(Renewed::Fenced { by }) => {
                    tracing::warn!(processor = %self.group.processor, %partition, %by, "this partition has another owner");
                    holding.ledger.lost.cancel();
                }
                Ok(Renewed::GroupMissing) => {
                    tracing::warn!(processor = %self.group.processor, %partition, "the consumer group is gone: acquiring the partition again");
                    holding.ledger.lost.cancel();
                }
                Err(error) => unanswered = Some(error),
            }
        }
        if let Some(error) = unanswered {
            self.trouble(&error, "renewals of leases");
            self.next_renewal = self.next_renewal.min(clock::now() + AGAIN);
        }
    }

    /// A changed server may have lost what made retention wait for this processor. Nothing is trimmed before all have
    /// had time to say it again.
    pub(super) fn register_again(&mut self) {
        self.next_trim = clock::now() + TRIM_EVERY;
        let (broker, group) = (self.around.handle.broker().clone(), self.group.clone());
        self.tasks.start(async move {
            while let Err(error) = broker.register(&group).await {
                tracing::debug!(processor = %group.processor, %error, "registering again with a changed server is interrupted");
                clock::sleep(Duration::from_millis(200)).await;
            }
            Report::Done
        });
    }

    /// Trims the partitions whose position has moved since the last time.
    pub(super) fn trim(&mut self, now: Instant) {
        self.next_trim = now + TRIM_EVERY;
        // Dead letters, and what is known of runs, stay to be read again until their room is needed.
        if self.group.stream.letters_of().is_some() || self.spec.stream.internal {
            return;
        }
        let mut moved = Vec::new();
        for (partition, place) in &self.places {
            let position = place.holding.ledger.position();
            if self.trimmed.insert(*partition, position) != Some(position) {
                moved.push(*partition);
            }
        }
        if moved.is_empty() {
            return;
        }
        let (broker, stream) = (self.around.handle.broker().clone(), self.group.stream.clone());
        self.tasks.start(async move {
            for partition in moved {
                match broker.trim(&stream, partition).await {
                    Ok(Trimmed::Cut { .. }) => {}
                    Ok(Trimmed::Held { reason }) => {
                        tracing::debug!(stream = %stream.name, %partition, %reason, "nothing may be trimmed")
                    }
                    Err(error) => tracing::debug!(stream = %stream.name, %partition, %error, "trimming is interrupted"),
                }
            }
            Report::Done
        });
    }

    /// Partitions that the group believes to be stopped are nobody's. A word that arrived late would leave one so for
    /// ever, so one member looks now and then whether the mark is still there.
    pub(super) fn look_at_stopped(&mut self, now: Instant) {
        self.next_look = now + LOOK_EVERY;
        let stopped = self.membership.stopped_to_look_at(now);
        if stopped.is_empty() {
            return;
        }
        let (broker, group) = (self.around.handle.broker().clone(), self.group.clone());
        self.tasks.start(async move {
            match clear_what_is_over(&*broker, &group, &stopped).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(processor = %group.processor, %error, "stopped partitions cannot be looked at")
                }
            }
            Report::Done
        });
    }
}

async fn clear_what_is_over(broker: &dyn Broker, group: &Group, stopped: &[Partition]) -> Result<(), BrokerError> {
    for partition in broker.survey(&group.stream).await? {
        let ours = partition.groups.iter().find(|found| found.name == *group.processor);
        let stop = ours.and_then(|found| found.fence.as_ref()?.stop.as_ref());
        if stop.is_none() && stopped.contains(&partition.partition) {
            tracing::info!(processor = %group.processor, partition = %partition.partition, "the partition is not stopped any more");
            broker.note_stopped(group, partition.partition, None).await?;
        }
    }
    Ok(())
}

/// Between looks at stopped partitions.
const LOOK_EVERY: Duration = Duration::from_secs(30);
