//! Handlers: a function that is called for each event, or for each batch.
//!
//! [`Handler`] is what such a function is while its types are known; [`Call`] is the same without them.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use smallvec::SmallVec;

use crate::codec::{DecodeError, Limits};
use crate::error::Error;
use crate::event::{Entry, Event, EventId};
use crate::record::Record;
use crate::stream::{Declaration, RecordCodec};

use super::extract::{Context, Extract, Parts};

/// The entries of one unit: an event, or a batch that is settled as one.
pub(crate) type Entries = SmallVec<[Entry; 1]>;

/// Why a unit failed. Not for users.
#[doc(hidden)]
#[derive(Debug)]
pub enum UnitError {
    /// An event of it is no record of the stream.
    Decode(EventId, DecodeError),
    /// The user's function said so.
    Handler(Error),
}

/// A type that can be the first parameter of a handler over records `R`: `R`, `Vec<R>`, [`Event`] or `Vec<Event>`.
///
/// `Kind` is one of [`kind`] and follows from the type: it is there to tell the four apart.
#[diagnostic::on_unimplemented(
    message = "a processor of this stream cannot take a `{Self}`",
    label = "expected the stream's record `{R}`, `Vec<{R}>`, `Event` or `Vec<Event>`"
)]
pub trait FromUnit<R: Record, Kind>: Sized + Send + 'static {
    /// Whether it is a batch.
    const BATCH: bool;

    #[doc(hidden)]
    fn from_unit(unit: Unit_<'_>, reading: &Reading<R>) -> Result<Self, (EventId, DecodeError)>;
}

/// The events of a unit and where they came from. Not for users.
#[doc(hidden)]
pub struct Unit_<'a> {
    pub(crate) entries: Entries,
    pub(crate) context: &'a Context,
}

/// How a stream's records are read. Not for users.
#[doc(hidden)]
pub struct Reading<R> {
    pub(crate) codec: Arc<dyn RecordCodec<R>>,
    pub(crate) limits: Limits,
}

impl<R: Record> Reading<R> {
    pub(crate) fn record(&self, entry: &Entry) -> Result<R, (EventId, DecodeError)> {
        self.codec.read(&entry.fields, &self.limits).map_err(|error| (entry.id, error))
    }
}

impl Unit_<'_> {
    fn event(&self, entry: Entry) -> Event {
        let tenancy = &self.context.tenancy;
        Event { id: entry.id, fields: entry.fields, partition: tenancy.partition, stream: tenancy.stream.clone() }
    }

    fn only(&mut self) -> Entry {
        self.entries.pop().expect("a unit holds at least one event")
    }
}

impl<R: Record> FromUnit<R, kind::One> for R {
    const BATCH: bool = false;
    fn from_unit(mut unit: Unit_<'_>, reading: &Reading<R>) -> Result<Self, (EventId, DecodeError)> {
        reading.record(&unit.only())
    }
}

impl<R: Record> FromUnit<R, kind::Many> for Vec<R> {
    const BATCH: bool = true;
    fn from_unit(unit: Unit_<'_>, reading: &Reading<R>) -> Result<Self, (EventId, DecodeError)> {
        unit.entries.iter().map(|entry| reading.record(entry)).collect()
    }
}

impl<R: Record> FromUnit<R, kind::RawOne> for Event {
    const BATCH: bool = false;
    fn from_unit(mut unit: Unit_<'_>, _: &Reading<R>) -> Result<Self, (EventId, DecodeError)> {
        let entry = unit.only();
        Ok(unit.event(entry))
    }
}

impl<R: Record> FromUnit<R, kind::RawMany> for Vec<Event> {
    const BATCH: bool = true;
    fn from_unit(mut unit: Unit_<'_>, _: &Reading<R>) -> Result<Self, (EventId, DecodeError)> {
        let entries = std::mem::take(&mut unit.entries);
        Ok(entries.into_iter().map(|entry| unit.event(entry)).collect())
    }
}

/// What a function may return: nothing, or a `Result` of nothing.
#[diagnostic::on_unimplemented(
    message = "a processor cannot return `{Self}`",
    label = "expected nothing or a `Result<()>`",
    note = "any error type that is `std::error::Error + Send + Sync` will do, and `runnel::Result<()>` takes them all"
)]
pub trait IntoOutcome: Send {
    /// The outcome.
    fn into_outcome(self) -> Result<(), Error>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<(), Error> {
        Ok(())
    }
}

// Else the compiler would talk of `From` where a wrong type is returned.
#[diagnostic::do_not_recommend]
impl<E: Into<Error> + Send> IntoOutcome for Result<(), E> {
    fn into_outcome(self) -> Result<(), Error> {
        self.map_err(Into::into)
    }
}

/// What a first parameter can be.
pub mod kind {
    /// The stream's record.
    pub enum One {}
    /// A batch of them.
    pub enum Many {}
    /// A raw event.
    pub enum RawOne {}
    /// A batch of raw events.
    pub enum RawMany {}
}

/// A function that can handle records `R`. `Parameters` is only there to tell functions apart.
#[diagnostic::on_unimplemented(
    message = "this function cannot be a processor of a stream of `{R}`",
    label = "expected an async function of the record (or `Vec` of it, or `Event`), then of `Context`, `State<T>` or `Key`"
)]
pub trait Handler<R: Record, Parameters>: Send + Sync + 'static {
    /// Whether its first parameter is a batch.
    const BATCH: bool;

    /// The states its parameters need.
    fn needs(&self) -> Vec<(TypeId, &'static str)>;

    #[doc(hidden)]
    fn handle(&self, unit: Unit_<'_>, reading: &Reading<R>, parts: &Parts<'_>) -> Result<Running, UnitError>;
}

/// A handler's future.
type Running = BoxFuture<'static, Result<(), Error>>;

macro_rules! handlers {
    ($($param:ident)*) => {
        impl<R, F, Fut, I, Kind, $($param,)*> Handler<R, (Kind, I, $($param,)*)> for F
        where
            R: Record,
            I: FromUnit<R, Kind>,
            F: Fn(I, $($param,)*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoOutcome,
            $($param: Extract,)*
        {
            const BATCH: bool = I::BATCH;

            fn needs(&self) -> Vec<(TypeId, &'static str)> {
                let needs: Vec<Option<(TypeId, &'static str)>> = vec![$($param::needs(),)*];
                needs.into_iter().flatten().collect()
            }

            #[allow(unused_variables)] // A handler without extractors needs no parts.
            fn handle(&self, unit: Unit_<'_>, reading: &Reading<R>, parts: &Parts<'_>) -> Result<Running, UnitError> {
                let input = I::from_unit(unit, reading).map_err(|(id, error)| UnitError::Decode(id, error))?;
                let future = self(input, $($param::extract(parts).map_err(UnitError::Handler)?,)*);
                Ok(Box::pin(async move { future.await.into_outcome() }))
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D E);
handlers!(A B C D E G);

/// A handler whose types are forgotten.
pub(crate) trait Call: Send + Sync {
    /// Whether it takes batches.
    fn takes_batches(&self) -> bool;

    /// The states it needs.
    fn needs(&self) -> Vec<(TypeId, &'static str)>;

    /// Decodes the unit and starts the function.
    fn call(&self, unit: Entries, context: &Context) -> Result<Running, UnitError>;
}

/// A typed handler of a stream.
pub(crate) struct Typed<R, H, P> {
    declaration: Arc<Declaration<R>>,
    handler: H,
    reading: std::sync::OnceLock<Reading<R>>,
    parameters: std::marker::PhantomData<fn(P)>,
}

impl<R: Record, P, H: Handler<R, P>> Typed<R, H, P> {
    pub(crate) fn new(declaration: Arc<Declaration<R>>, handler: H) -> Self {
        Self { declaration, handler, reading: std::sync::OnceLock::new(), parameters: std::marker::PhantomData }
    }
}

impl<R: Record, P: 'static, H: Handler<R, P>> Call for Typed<R, H, P> {
    fn takes_batches(&self) -> bool {
        H::BATCH
    }

    fn needs(&self) -> Vec<(TypeId, &'static str)> {
        self.handler.needs()
    }

    fn call(&self, unit: Entries, context: &Context) -> Result<Running, UnitError> {
        let reading = self.reading.get_or_init(|| reading(&self.declaration, context));
        let first = unit.first().cloned();
        let key = || {
            let entry = first.as_ref()?;
            reading.record(entry).ok().map(|record| self.declaration.key(&record))
        };
        self.handler.handle(Unit_ { entries: unit, context }, reading, &Parts { context, key: &key })
    }
}

/// How records are read, under the settings of the app that runs.
pub(crate) fn reading<R: Record>(declaration: &Declaration<R>, context: &Context) -> Reading<R> {
    let handle = &context.tenancy.handle;
    Reading { codec: declaration.codec(handle.default_codec()), limits: handle.limits() }
}
