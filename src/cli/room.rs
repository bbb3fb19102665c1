//! Room in partitions, for senders that have no stream of the program behind them.
//!
//! The limit is soft: what is under way may exceed it by one page. Partitions that are not full cost nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{Broker, StreamRef, Trimmed};
use crate::clock;
use crate::error::{Doing, Failure};
use crate::event::Partition;
use crate::settings::{OnFull, Settings, show_duration};

/// Between looks at a full partition.
const PAUSE: Duration = Duration::from_millis(100);

/// How full partitions are, as far as is known.
#[derive(Debug)]
pub(super) struct Room {
    size: u64,
    on_full: OnFull,
    patience: Duration,
    lengths: BTreeMap<Partition, u64>,
}

impl Room {
    pub(super) fn new(settings: &Settings) -> Self {
        let (size, on_full, patience) = (settings.default_partition_size, settings.on_full, settings.send_timeout);
        Self { size, on_full, patience, lengths: BTreeMap::new() }
    }

    /// Learns how full partitions are.
    pub(super) fn know(&mut self, lengths: impl IntoIterator<Item = (Partition, u64)>) {
        self.lengths.extend(lengths);
    }

    /// Answers when there is room in the partition, or fails as the settings say.
    pub(super) async fn make(&mut self, broker: &dyn Broker, stream: &StreamRef, at: Partition) -> Result<(), Failure> {
        let began = clock::now();
        while let Some(length) = self.lengths.get(&at).copied().filter(|length| *length >= self.size) {
            let doing = || format!("make room in partition {at} of stream `{}`", stream.name);
            if self.on_full == OnFull::DropOldest {
                let keep = self.size - 1;
                broker.drop_oldest(stream, at, keep).await.doing(doing)?;
                self.lengths.insert(at, keep);
                return Ok(());
            }
            let reason = match broker.trim(stream, at).await.doing(doing)? {
                Trimmed::Cut { entries, .. } if entries > 0 => {
                    self.lengths.insert(at, length.saturating_sub(entries));
                    continue;
                }
                Trimmed::Cut { before, .. } => format!("the slowest processor is at {before}"),
                Trimmed::Held { reason } => reason,
            };
            let waited = clock::now().since(began);
            if self.on_full == OnFull::Fail || waited >= self.patience {
                let waited = show_duration(Duration::from_millis(waited.as_millis() as u64));
                return Err(Failure::Full(format!(
                    "partition {at} of stream `{}` is full ({length} events, after waiting {waited}): {reason}; `status` \
                     shows who is behind",
                    stream.name
                )));
            }
            clock::sleep(PAUSE).await;
        }
        Ok(())
    }
}
