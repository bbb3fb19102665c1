//! Looks through the dead letters of a stream, page by page: there may be millions, and each holds a whole event.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::broker::{Broker, StreamRef};
use crate::error::Doing;
use crate::event::{Entry, EventId, Partition};
use crate::processor::dead_letter::Letter;

use crate::cli::End;

use super::choice::{Choice, Verdict};

/// Entries read at once.
const PAGE: usize = 100;

/// An entry among the dead letters.
pub(super) struct Found {
    pub(super) partition: Partition,
    pub(super) id: EventId,
    /// Or why it is none: something else has written it.
    pub(super) letter: Result<Letter, String>,
}

/// What was met on the way.
#[derive(Default)]
pub(super) struct Met {
    /// The processors that gave something up, meant or not.
    pub(super) processors: BTreeSet<String>,
    /// Letters that may be meant, of which nobody knows the key.
    pub(super) keyless: u64,
}

/// Shows every letter that is meant to `each`, by partition and in the order in which they were given up, until it has
/// seen enough.
pub(super) async fn walk(
    broker: &dyn Broker,
    stream: &StreamRef,
    choice: &Choice,
    mut each: impl FnMut(Found) -> Result<ControlFlow<()>, End>,
) -> Result<Met, End> {
    let letters = Arc::new(stream.dead_letters());
    let mut met = Met::default();
    let (first, last) = choice.range;
    for &partition in &choice.partitions {
        let mut from = first;
        loop {
            let page = broker.range(&letters, partition, from, last, PAGE, false).await;
            let page = page.doing(|| format!("read the dead letters of stream `{}`", stream.name))?;
            let (end, is_full) = (page.last().map(|entry| entry.id), page.len() == PAGE);
            for entry in page {
                let found = read(partition, &entry);
                if let Ok(letter) = &found.letter {
                    met.saw(&letter.about.processor);
                }
                match choice.judge(&found) {
                    Verdict::NotMeant => {}
                    Verdict::Keyless => met.keyless += 1,
                    Verdict::Meant => {
                        if each(found)?.is_break() {
                            return Ok(met);
                        }
                    }
                }
            }
            match end.filter(|end| is_full && *end < last) {
                Some(end) => from = end.next(),
                None => break,
            }
        }
    }
    Ok(met)
}

impl Met {
    fn saw(&mut self, processor: &str) {
        if !self.processors.contains(processor) {
            self.processors.insert(processor.to_owned());
        }
    }
}

fn read(partition: Partition, entry: &Entry) -> Found {
    let letter = Letter::read(entry).map_err(|error| crate::error::chain(&error));
    Found { partition, id: entry.id, letter }
}
