//! A stream: a name, a record type, and how its records are placed and written.
//!
//! A [`Stream`] holds only its declaration; sending needs an app, which is found when something is sent: see
//! [`current`]. What is declared here becomes [`StreamFacts`](crate::broker::StreamFacts) in Redis at first use, and
//! a process that disagrees with those is refused.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::broker::{DEAD, NewEntry, StreamRef};
use crate::codec::{AnyCodec, Codec, DecodeError, EncodeError, Limits};
use crate::error::Failure;
use crate::event::{EventId, Fields};
use crate::record::Record;
use crate::route::{Key, Partitioner};
use crate::settings::OnFull;

pub(crate) mod current;
pub(crate) mod facts;
pub(crate) mod json;
pub(crate) mod outlet;
mod pump;

use current::Handle;
use outlet::Outlet;

/// Whether a view shows the event with these fields. Those that it does not show are settled unseen.
pub(crate) type Shows = fn(&Fields) -> bool;

/// What a stream declares, without its record type.
#[derive(Clone)]
pub(crate) struct StreamSpec {
    pub(crate) name: String,
    pub(crate) partitions: Option<u32>,
    pub(crate) partition_size: Option<u64>,
    pub(crate) slot_groups: Option<u32>,
    pub(crate) partitioner: Option<Partitioner>,
    pub(crate) codec: Option<String>,
    pub(crate) on_full: Option<OnFull>,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) python_compatible: bool,
    pub(crate) primitive: bool,
    /// One of runnel's own, whose name users cannot give.
    pub(crate) internal: bool,
    pub(crate) dead_letter_size: Option<u64>,
    /// Whether it is the stream of the dead letters of another.
    pub(crate) holds_letters: bool,
    /// Of a view: which events of its stream it shows. Nothing is sent to a view.
    pub(crate) shows: Option<Shows>,
    /// All of the above in one text: declarations that differ in anything are different ways into a stream.
    pub(crate) identity: Arc<str>,
}

impl StreamSpec {
    fn identify(&mut self) {
        let partitioner = self.partitioner.as_ref().map(Partitioner::name);
        self.identity = format!(
            "{} {:?} {:?} {:?} {partitioner:?} {:?} {:?} {:?} {} {} {:?} {} {}",
            self.name,
            self.partitions,
            self.partition_size,
            self.slot_groups,
            self.codec,
            self.on_full,
            self.send_timeout,
            self.python_compatible,
            self.primitive,
            self.dead_letter_size,
            self.holds_letters,
            self.shows.is_some()
        )
        .into();
    }

    /// The name of the stream that is declared: of dead letters, that of the stream they come from.
    pub(crate) fn declared_name(&self) -> &str {
        match self.holds_letters {
            true => self.name.strip_suffix(DEAD).unwrap_or(&self.name),
            false => &self.name,
        }
    }
}

/// A codec that was chosen for records of type `R`.
pub(crate) trait RecordCodec<R>: Send + Sync {
    fn write(&self, record: &R) -> Result<Fields, EncodeError>;
    fn read(&self, fields: &Fields, limits: &Limits) -> Result<R, DecodeError>;
}

impl<R: Record, C: Codec> RecordCodec<R> for C {
    fn write(&self, record: &R) -> Result<Fields, EncodeError> {
        record.to_fields(self)
    }

    fn read(&self, fields: &Fields, limits: &Limits) -> Result<R, DecodeError> {
        R::from_fields(fields, self, limits)
    }
}

/// Everything a stream declares.
pub(crate) struct Declaration<R> {
    pub(crate) spec: StreamSpec,
    key: Arc<dyn Fn(&R) -> Key + Send + Sync>,
    codec: Option<Arc<dyn RecordCodec<R>>>,
}

impl<R: Record> Declaration<R> {
    /// The codec it declares, or the one the settings name.
    pub(crate) fn codec(&self, default: &AnyCodec) -> Arc<dyn RecordCodec<R>> {
        self.codec.clone().unwrap_or_else(|| Arc::new(*default))
    }

    /// The codec it declares.
    pub(crate) fn own_codec(&self) -> Option<Arc<dyn RecordCodec<R>>> {
        self.codec.clone()
    }

    pub(crate) fn key(&self, record: &R) -> Key {
        (self.key)(record)
    }
}

/// A stream of records of type `R`.
///
/// ```
/// use runnel::prelude::*;
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Order { order_id: u64, amount: f64 }
///
/// #[runnel::stream]
/// static ORDERS: Stream<Order> = Stream::new("orders", |o| o.order_id.into()).partitions(32);
/// ```
pub struct Stream<R: Record> {
    cell: OnceLock<Arc<Declaration<R>>>,
    build: Option<fn() -> Stream<R>>,
}

impl<R: Record> Clone for Stream<R> {
    fn clone(&self) -> Self {
        Self::of(self.declaration().clone())
    }
}

impl<R: Record> std::fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stream").field(&self.name()).finish()
    }
}

impl<R: Record> Stream<R> {
    /// A stream of that name; `key` says which of its records belong together, in order.
    pub fn new(name: impl Into<String>, key: impl Fn(&R) -> Key + Send + Sync + 'static) -> Self {
        let mut spec = StreamSpec {
            name: name.into(),
            partitions: None,
            partition_size: None,
            slot_groups: None,
            partitioner: None,
            codec: None,
            on_full: None,
            send_timeout: None,
            python_compatible: false,
            primitive: R::PRIMITIVE,
            internal: false,
            dead_letter_size: None,
            holds_letters: false,
            shows: None,
            identity: "".into(),
        };
        spec.identify();
        Self::of(Arc::new(Declaration { spec, key: Arc::new(key), codec: None }))
    }

    /// A stream that is built at first use: what a `static` needs. `#[runnel::stream]` writes this.
    pub const fn declared(build: fn() -> Stream<R>) -> Self {
        Self { cell: OnceLock::new(), build: Some(build) }
    }

    /// A stream that another one makes.
    pub(crate) fn made_of(
        mut spec: StreamSpec,
        key: impl Fn(&R) -> Key + Send + Sync + 'static,
        codec: Option<Arc<dyn RecordCodec<R>>>,
    ) -> Self {
        spec.identify();
        Self::of(Arc::new(Declaration { spec, key: Arc::new(key), codec }))
    }

    fn of(declaration: Arc<Declaration<R>>) -> Self {
        Self { cell: OnceLock::from(declaration), build: None }
    }

    pub(crate) fn declaration(&self) -> &Arc<Declaration<R>> {
        self.cell.get_or_init(|| {
            let build = self.build.expect("a stream has a declaration or the function that makes it");
            build().declaration().clone()
        })
    }

    fn changed(self, change: impl FnOnce(&mut Declaration<R>)) -> Self {
        let old = self.declaration();
        let mut new = Declaration { spec: old.spec.clone(), key: old.key.clone(), codec: old.codec.clone() };
        change(&mut new);
        new.spec.identify();
        Self::of(Arc::new(new))
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.declaration().spec.name
    }

    /// How many partitions it has. Fixed when it is first used. Default: setting `default_partition_count`, 16.
    pub fn partitions(self, count: u32) -> Self {
        self.changed(|d| d.spec.partitions = Some(count))
    }

    /// Events a partition may hold before senders wait. Default: setting `default_partition_size`, 50,000.
    pub fn partition_size(self, events: u64) -> Self {
        self.changed(|d| d.spec.partition_size = Some(events))
    }

    /// Dead letters a partition may hold before those that give events up wait. Default: setting `dead_letter_size`, 10,000.
    pub fn dead_letter_size(self, letters: u64) -> Self {
        self.changed(|d| d.spec.dead_letter_size = Some(letters))
    }

    /// Slot groups: how far it can spread over a cluster. Fixed when it is first used. Default: 16.
    pub fn slot_groups(self, count: u32) -> Self {
        self.changed(|d| d.spec.slot_groups = Some(count))
    }

    /// How records are written. Default: setting `default_codec`, JSON. Not used by primitive records.
    pub fn codec<C: Codec>(self, codec: C) -> Self {
        self.changed(|d| {
            d.spec.codec = Some(codec.name());
            d.codec = Some(Arc::new(codec));
        })
    }

    /// The function from key to partition. Fixed when the stream is first used. Default: setting `default_partitioner`, xxh64.
    pub fn partitioner(self, partitioner: Partitioner) -> Self {
        self.changed(|d| d.spec.partitioner = Some(partitioner))
    }

    /// What `send` does when a partition is at its size. Default: setting `on_full`, wait.
    pub fn on_full(self, what: OnFull) -> Self {
        self.changed(|d| d.spec.on_full = Some(what))
    }

    /// How long a send may wait for room or for Redis. Default: setting `send_timeout`, 30 s.
    pub fn send_timeout(self, time: Duration) -> Self {
        self.changed(|d| d.spec.send_timeout = Some(time))
    }

    /// Uses the keys of runnel for Python, so that both can work on the stream: its partitioner must be `python` or
    /// `python-md5` then, which this sets to `python` unless another is given.
    pub fn python_compatible(self) -> Self {
        self.changed(|d| {
            d.spec.python_compatible = true;
            d.spec.partitioner.get_or_insert(Partitioner::Python);
        })
    }

    /// Makes it one of runnel's own.
    pub(crate) fn internal(self) -> Self {
        self.changed(|d| d.spec.internal = true)
    }

    /// Appends a record and answers its id once Redis has it. Concurrent sends share round trips.
    ///
    /// # Errors
    /// [`Failure::NoApp`] outside of an app; [`Failure::Full`] when a partition stays at its size for `send_timeout`;
    /// [`Failure::Broker`] with `Unclear` when no answer came: the record may or may not have been appended, and it is
    /// not sent again; with `NotDurable` when it was appended, but is not as safe as setting `durability` asks for.
    pub async fn send(&self, record: R) -> Result<EventId, Failure> {
        self.here()?.send(record).await
    }

    /// The same with an id of your own, which must be greater than every id in its partition.
    pub async fn send_as(&self, id: EventId, record: R) -> Result<EventId, Failure> {
        self.here()?.send_as(id, record).await
    }

    /// Appends many records in pipelines and answers their ids in order. Records of one key keep their order.
    pub async fn send_all(&self, records: impl IntoIterator<Item = R>) -> Result<Vec<EventId>, Failure> {
        self.here()?.send_all(records).await
    }

    fn here(&self) -> Result<Bound<R>, Failure> {
        let handle = current::handle().ok_or_else(|| Failure::NoApp { stream: self.name().to_owned() })?;
        Ok(Bound { declaration: self.declaration().clone(), handle })
    }
}

/// A stream of one app: what `app.stream(&ORDERS)` answers.
pub struct Bound<R: Record> {
    declaration: Arc<Declaration<R>>,
    handle: Handle,
}

impl<R: Record> Bound<R> {
    pub(crate) fn new(stream: &Stream<R>, handle: Handle) -> Self {
        Self { declaration: stream.declaration().clone(), handle }
    }

    /// As [`Stream::send`].
    pub async fn send(&self, record: R) -> Result<EventId, Failure> {
        self.send_one(None, record).await
    }

    /// As [`Stream::send_as`].
    pub async fn send_as(&self, id: EventId, record: R) -> Result<EventId, Failure> {
        self.send_one(Some(id), record).await
    }

    async fn outlet(&self) -> Result<Arc<Outlet>, Failure> {
        let spec = &self.declaration.spec;
        if spec.holds_letters {
            let base = spec.declared_name();
            return Err(Failure::Invalid(format!(
                "stream `{}` holds what processors of stream `{base}` gave up, and nothing is sent to it: send to `{base}`, and \
                 let a processor give events up with `on_error = \"dead_letter\"`",
                spec.name
            )));
        }
        if spec.shows.is_some() {
            return Err(Failure::Invalid(format!(
                "stream `{}` holds what workers write of runs, and nothing else is sent to it",
                spec.name
            )));
        }
        self.handle.outlet(spec).await
    }

    async fn send_one(&self, id: Option<EventId>, record: R) -> Result<EventId, Failure> {
        let outlet = self.outlet().await?;
        let entry = outlet.entry(self.declaration.key(&record), self.encode(&record)?, id)?;
        outlet.send(entry).await
    }

    /// As [`Stream::send_all`].
    pub async fn send_all(&self, records: impl IntoIterator<Item = R>) -> Result<Vec<EventId>, Failure> {
        let outlet = self.outlet().await?;
        // Everything is encoded before anything is sent: a record that cannot be written must not split the batch.
        let entries: Vec<_> = records
            .into_iter()
            .map(|record| outlet.entry(self.declaration.key(&record), self.encode(&record)?, None))
            .collect::<Result<_, _>>()?;
        outlet.send_all(entries).await
    }

    /// The stream as it is in the store, declared if it was not.
    pub(crate) async fn stream(&self) -> Result<StreamRef, Failure> {
        Ok(self.handle.outlet(&self.declaration.spec).await?.stream().clone())
    }

    /// What a record would be in the stream, for those who append it in a step of their own.
    pub(crate) async fn entry(&self, record: R) -> Result<(StreamRef, NewEntry), Failure> {
        let outlet = self.outlet().await?;
        let entry = outlet.entry(self.declaration.key(&record), self.encode(&record)?, None)?;
        Ok((outlet.stream().clone(), entry))
    }

    fn encode(&self, record: &R) -> Result<Fields, Failure> {
        let codec = self.declaration.codec(self.handle.default_codec());
        codec.write(record).map_err(|source| Failure::Encode { stream: self.declaration.spec.name.clone(), source })
    }
}
