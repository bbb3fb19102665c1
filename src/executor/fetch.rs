//! Reads one owned partition ahead into its bounded queue.
//!
//! A chunk is read when the queue has room for it, so at most one chunk waits while another is worked off. A chunk is
//! bounded in events and, by the size of those before it, in bytes. Reading has no side effects: it may be dropped at any
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::broker::{Broker, Source};
use crate::clock;
use crate::event::{Entry, EventId};

use super::chunks::Giver;
use super::holding::Holding;

/// How many bytes the partitions of a worker may read ahead, shared evenly by those it owns.
#[derive(Debug)]
pub(crate) struct Appetite {
    bytes: usize,
    lanes: AtomicUsize,
}

impl Appetite {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, lanes: AtomicUsize::new(0) }
    }

    pub(super) fn joined(&self) {
        self.lanes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn left(&self) {
        self.lanes.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many events of that size a partition may have in its queue. Two chunks are held at a time.
    fn portion(&self, most: usize, size: usize) -> usize {
        let share = self.bytes / self.lanes.load(Ordering::Relaxed).max(1) / 2;
        (share / size.max(1)).clamp(1, most.max(1))
    }
}

/// Reads until the taker is gone, or the place is. What comes after `until` is as if it was not there.
pub(super) async fn fetch(
    broker: Arc<dyn Broker>,
    holding: Arc<Holding>,
    from: EventId,
    until: EventId,
    prefetch: usize,
    appetite: Arc<Appetite>,
    chunks: Giver,
) {
    let place = &holding.ledger.place;
    let source = Source::Partition(place.group.stream.clone(), place.partition);
    let mut after = from;
    let mut size = Size::default();
    let mut flowing = true;
    let mut pause = FIRST_PAUSE;
    loop {
        if after >= until {
            // The lane waits for more until it is told to end, as it does where nothing is sent.
            return chunks.closed().await;
        }
        let Some(room) = chunks.room().await else { return };
        let count = size.known().map_or(1, |size| appetite.portion(prefetch, size));
        // Safe to drop: the same read can be asked for again.
        let read = tokio::select! {
            read = broker.read(&source, after, count, flowing) => read,
            () = holding.ledger.lost.cancelled() => return,
            () = chunks.closed() => return,
        };
        match read {
            Ok(mut entries) => {
                pause = FIRST_PAUSE;
                let Some(last) = entries.last() else { continue };
                after = last.id;
                holding.has_read(after);
                flowing = entries.len() >= count;
                size.saw(&entries);
                entries.retain(|entry| entry.id <= until);
                if !entries.is_empty() {
                    room.give(entries);
                }
            }
            Err(error) => {
                let (processor, partition) = (&place.group.processor, place.partition);
                if error.is_transient() {
                    tracing::debug!(%processor, %partition, %error, "reading is interrupted");
                } else {
                    tracing::error!(%processor, %partition, error = %crate::error::chain(&error), "events cannot be read: trying again");
                }
                clock::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// How large the events of a partition are, as far as they were seen.
///
/// Redis counts events and not bytes, so the first read of a partition, of whose events nothing is known, is for one of
/// them: sixteen partitions of large events would otherwise begin with a gigabyte. Growth is believed at once, shrinking
/// slowly. What stays is a single chunk that is larger than all before it.
#[derive(Default)]
struct Size(Option<usize>);

impl Size {
    fn known(&self) -> Option<usize> {
        self.0
    }

    fn saw(&mut self, entries: &[Entry]) {
        let sum: usize = entries.iter().map(|entry| entry.fields.size() + PER_ENTRY).sum();
        let Some(size) = sum.checked_div(entries.len()) else { return };
        self.0 = Some(match self.0 {
            Some(average) if size <= average => (average * 3 + size) / 4,
            _ => size,
        });
    }
}

/// What an entry costs beside its bytes.
const PER_ENTRY: usize = 96;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
