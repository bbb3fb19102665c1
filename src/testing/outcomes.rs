//! What became of events, processor by processor, as a test asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::broker::{StopKind, StreamRef};
use crate::event::{Entry, EventId, Partition};
use crate::record::Record;
use crate::stream::Stream;

use super::{At, Letter, TestApp, What, assert_known};

impl TestApp {
    #[track_caller]
    fn of(&self, processor: &str, is_it: impl Fn(&What) -> bool) -> Vec<At> {
        assert_known("processor", processor, &self.names.processors);
        let seen = self.seen();
        let matching = seen.iter().filter(|seen| &*seen.processor == processor && is_it(&seen.what));
        matching.flat_map(|seen| seen.ids.iter().map(|id| (seen.partition, *id))).collect()
    }

    /// The events that a processor has handled, in the order of handling; those handled twice are there twice.
    ///
    /// # Panics
    /// If the app has no such processor.
    #[track_caller]
    pub fn settled(&self, processor: &str) -> Vec<At> {
        self.of(processor, |what| matches!(what, What::Handled))
    }

    /// The failed tries of a processor's events, each with its error.
    ///
    /// # Panics
    /// If the app has no such processor.
    #[track_caller]
    pub fn failed(&self, processor: &str) -> Vec<(At, String)> {
        assert_known("processor", processor, &self.names.processors);
        let seen = self.seen();
        let failed = seen.iter().filter(|seen| &*seen.processor == processor).filter_map(|seen| match &seen.what {
            What::Failed { error } => Some(((seen.partition, *seen.ids.first()?), error.clone())),
            _ => None,
        });
        failed.collect()
    }

    /// The events that a processor has given up by the policy IGNORE.
    ///
    /// # Panics
    /// If the app has no such processor.
    #[track_caller]
    pub fn ignored(&self, processor: &str) -> Vec<At> {
        self.of(processor, |what| matches!(what, What::Ignored))
    }

    /// The events that were settled without a processor's function: filtered by a middleware, or put back for another one.
    ///
    /// # Panics
    /// If the app has no such processor.
    #[track_caller]
    pub fn passed(&self, processor: &str) -> Vec<At> {
        self.of(processor, |what| matches!(what, What::Passed))
    }

    /// The records that lie in a stream now, in the order of their events' ids: what a job or a processor has sent.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # use runnel::testing::TestApp;
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// struct Invoice { order: u64 }
    ///
    /// # runnel::testing::run(async {
    /// let invoices = Stream::new("invoices", |i: &Invoice| i.order.into());
    /// let mut app = App::bare("shop");
    /// let sends = invoices.clone();
    /// app.task(move || {
    ///     let sends = sends.clone();
    ///     async move { sends.send(Invoice { order: 7 }).await.map(|_| ()).map_err(runnel::Error::from) }
    /// })
    /// .name("bill");
    /// let shop = TestApp::start(app).await;
    /// shop.advance(Duration::from_secs(1)).await;
    ///
    /// assert_eq!(shop.sent(&invoices).await, [Invoice { order: 7 }]);
    /// # });
    /// ```
    ///
    /// # Panics
    /// If the store cannot be asked just now, or something else than such a record lies there.
    pub async fn sent<R: Record>(&self, stream: &Stream<R>) -> Vec<R> {
        let declaration = stream.declaration();
        let codec = declaration.codec(self.handle.default_codec());
        let outlet = self.handle.outlet(&declaration.spec).await.unwrap_or_else(|problem| panic!("{problem}"));
        let mut entries = Vec::new();
        for partition in (0..outlet.stream().partitions).map(Partition) {
            entries.extend(self.entries(outlet.stream(), partition).await);
        }
        entries.sort_by_key(|entry| entry.id);
        let records = entries.iter().map(|entry| {
            codec.read(&entry.fields, &self.handle.limits()).unwrap_or_else(|problem| {
                let (name, id) = (stream.name(), entry.id);
                panic!("event {id} of stream `{name}` is no such record: {}", crate::error::chain(&problem))
            })
        });
        records.collect()
    }

    async fn entries(&self, stream: &StreamRef, partition: Partition) -> Vec<Entry> {
        let broker = self.handle.broker();
        let entries = broker.range(stream, partition, EventId::ZERO, EventId::MAX, usize::MAX, false).await;
        entries.unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// What lies in the store of the events that a processor has given up, by partition and in order.
    ///
    /// # Panics
    /// If the store cannot be asked just now, or something else than a letter lies there.
    pub async fn dead(&self, processor: &str) -> Vec<Letter> {
        let mut letters = Vec::new();
        let outlet =
            self.handle.outlet(&self.spec(processor).stream).await.unwrap_or_else(|problem| panic!("{problem}"));
        let dead = Arc::new(outlet.stream().dead_letters());
        for partition in (0..dead.partitions).map(Partition) {
            for entry in self.entries(&dead, partition).await {
                letters.push(Letter::read(&entry).unwrap_or_else(|problem| panic!("{problem}")));
            }
        }
        letters.retain(|letter| letter.about.processor == processor);
        letters
    }

    /// The events at which a processor's partitions are halted now.
    pub async fn halted(&self, processor: &str) -> BTreeSet<At> {
        self.stopped(processor, StopKind::Halted).await
    }

    /// The events at which a processor's partitions are quarantined now.
    pub async fn quarantined(&self, processor: &str) -> BTreeSet<At> {
        self.stopped(processor, StopKind::Quarantined).await
    }

    async fn stopped(&self, processor: &str, kind: StopKind) -> BTreeSet<At> {
        let spec = self.spec(processor);
        let mut stopped = BTreeSet::new();
        for partition in self.survey(&spec.stream).await {
            let fences = partition
                .groups
                .iter()
                .filter(|group| group.name == processor)
                .filter_map(|group| group.fence.as_ref());
            stopped.extend(
                fences
                    .filter_map(|fence| fence.stop.as_ref())
                    .filter(|s| s.kind == kind)
                    .map(|s| (partition.partition, s.at)),
            );
        }
        stopped
    }
}
