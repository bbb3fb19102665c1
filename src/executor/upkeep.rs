//! Keeps what is owned: renews leases, trims what every processor has settled.

use std::sync::Arc;

use crate::broker::{BrokerError, Note, Renewed, Trimmed};
use crate::clock::{self, Instant};

use super::holding::Holding;
use super::{AGAIN, Executor, Report, TRIM_EVERY};

/// What became of one renewal.
pub(crate) struct Renewal {
    holding: Arc<Holding>,
    /// What the ledger said of itself when it was sent.
    at_rest: Option<u64>,
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
            let at_rest: Vec<_> = holdings.iter().map(|holding| holding.ledger.at_rest()).collect();
            let sent = clock::now();
            let answers = broker.renew(&renewals).await;
            let answers = holdings.into_iter().zip(at_rest).zip(answers);
            Report::Renewed {
                sent,
                answers: answers.map(|((holding, at_rest), answer)| Renewal { holding, at_rest, answer }).collect(),
            }
        });
    }

    pub(super) fn renewed(&mut self, sent: Instant, answers: Vec<Renewal>) {
        self.renewing = false;
        let mut unanswered = None;
        for Renewal { holding, at_rest, answer } in answers {
            let partition = holding.ledger.place.partition;
            match answer {
                Ok(Renewed::Ours { entries_read, notes, .. }) => {
                    holding.renewed(sent);
                    self.tell_notes(partition, &notes);
                    holding.ledger.repaired(at_rest, entries_read);
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

    /// Trims the partitions whose position has moved since the last time.
    pub(super) fn trim(&mut self, now: Instant) {
        self.next_trim = now + TRIM_EVERY;
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
}
