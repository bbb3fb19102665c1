//! What the attribute macros' output names. Not for people: it may change with any version.
//!
//! Each type that a user wrote is asked for its trait by exactly one function of this module, so that a type that does
//! not fit makes one error. The traits here narrow those of [`processor`](mod@crate::processor) and [`job`](mod@crate::job) to
//! what the syntax has decided already, and say so when a type is none of them.

use std::any::TypeId;
use std::marker::PhantomData;

use futures::future::BoxFuture;

pub use inventory;

pub use crate::app::App;
pub use crate::app::registry::{Item, Registration};
pub use crate::broker::Start;
pub use crate::decide::schedule::{Delivery, Missed, Overlap};
pub use crate::event::EventId;
pub use crate::processor::Track;
pub use crate::settings::{ExceptionPolicy, Retry};

use crate::app::Declared;
pub use crate::app::OnDemand;
use crate::error::Error;
use crate::event::Event;
pub use crate::job::{JobParameter, RetryPolicy};

use crate::job::{InputSpec, JobExtract, JobFunction, JobFuture, JobParts, OnDemandFunction};
use crate::processor::events::LoopFuture;
use crate::processor::extract::Parts;
use crate::processor::handler::{Reading, Unit_, kind};
use crate::processor::{Events, Extract, FromUnit, Handler, IntoOutcome, UnitError};
use crate::record::Record;
use crate::stream::Stream;

/// Where a processor of this stream is added to.
pub struct Adding<'a, R: Record> {
    app: &'a mut App,
    stream: &'a Stream<R>,
}

/// Begins to add a processor: the stream says what its records are, before anything else does.
pub fn adding<'a, R: Record>(app: &'a mut App, stream: &'a Stream<R>) -> Adding<'a, R> {
    Adding { app, stream }
}

/// What a type that can be extracted needs and how it is taken.
type Needs = Vec<Option<(TypeId, &'static str)>>;

/// A running handler.
type Handling = BoxFuture<'static, Result<(), Error>>;

impl<'a, R: Record> Adding<'a, R> {
    /// A handler of one event at a time.
    pub fn handler<I: OneOf<R>>(
        self,
        needs: Needs,
        call: impl Fn(I, &Parts<'_>) -> Result<Handling, Error> + Send + Sync + 'static,
    ) -> Declared<'a> {
        self.app.processor(self.stream, Expanded::<I, I::Kind, _>::new(needs, call))
    }

    /// A handler of batches.
    pub fn batch_handler<I: BatchOf<R>>(
        self,
        needs: Needs,
        call: impl Fn(I, &Parts<'_>) -> Result<Handling, Error> + Send + Sync + 'static,
    ) -> Declared<'a> {
        self.app.processor(self.stream, Expanded::<I, I::Kind, _>::new(needs, call))
    }

    /// An event loop.
    pub fn event_loop<T: OneOf<R>>(
        self,
        needs: Needs,
        run: impl for<'e> Fn(&'e mut Events<T>, &Parts<'_>) -> Result<LoopFuture<'e>, Error> + Send + Sync + 'static,
    ) -> Declared<'a> {
        self.app.event_loop_with::<R, T::Kind, T, _>(self.stream, needs, run)
    }
}

/// What stands for one event of a stream.
#[diagnostic::on_unimplemented(
    message = "a processor of this stream cannot take `{Self}`",
    label = "expected the stream's record `{R}`, or a raw `Event`",
    note = "for many at once, a handler takes `Vec<{R}>` and says how many: `batch = 500`"
)]
pub trait OneOf<R: Record>: FromUnit<R, <Self as OneOf<R>>::Kind> {
    /// Which of them it is.
    type Kind: 'static;
}

#[diagnostic::do_not_recommend]
impl<R: Record> OneOf<R> for R {
    type Kind = kind::One;
}

#[diagnostic::do_not_recommend]
impl<R: Record> OneOf<R> for Event {
    type Kind = kind::RawOne;
}

/// What stands for several events of a stream.
#[diagnostic::on_unimplemented(
    message = "a processor with `batch` cannot take `{Self}`",
    label = "expected `Vec<{R}>`, or `Vec<Event>` for raw events"
)]
pub trait BatchOf<R: Record>: FromUnit<R, <Self as BatchOf<R>>::Kind> {
    /// Which of them it is.
    type Kind: 'static;
}

#[diagnostic::do_not_recommend]
impl<R: Record> BatchOf<R> for Vec<R> {
    type Kind = kind::Many;
}

#[diagnostic::do_not_recommend]
impl<R: Record> BatchOf<R> for Vec<Event> {
    type Kind = kind::RawMany;
}

/// A type that a function asks for beside its event.
pub struct Asked<E> {
    needs: Option<(TypeId, &'static str)>,
    extract: fn(&Parts<'_>) -> Result<E, Error>,
}

/// Asks for it.
pub fn ask<E: Extract>() -> Asked<E> {
    Asked { needs: E::needs(), extract: E::extract }
}

impl<E> Asked<E> {
    /// The state it needs the app to hold.
    pub fn needs(&self) -> Option<(TypeId, &'static str)> {
        self.needs
    }

    /// Takes it.
    pub fn extract(&self, parts: &Parts<'_>) -> Result<E, Error> {
        (self.extract)(parts)
    }
}

/// A type that a job asks for.
pub struct AskedOfJob<E> {
    needs: Option<(TypeId, &'static str)>,
    extract: fn(&JobParts<'_>) -> Result<E, Error>,
}

/// Asks for it.
pub fn ask_of_job<E: JobExtract>() -> AskedOfJob<E> {
    AskedOfJob { needs: E::needs(), extract: E::extract }
}

impl<E> AskedOfJob<E> {
    /// The state it needs the app to hold.
    pub fn needs(&self) -> Option<(TypeId, &'static str)> {
        self.needs
    }

    /// Takes it.
    pub fn extract(&self, parts: &JobParts<'_>) -> Result<E, Error> {
        (self.extract)(parts)
    }
}

/// A parameter of a job on demand.
pub struct AskedParameter<P> {
    name: &'static str,
    needs: Option<(TypeId, &'static str)>,
    input: Option<InputSpec>,
    take: fn(&JobParts<'_>, Option<&str>) -> Result<P, Error>,
}

/// Asks for it, or has it given under its name: its type says which.
pub fn ask_parameter<P: JobParameter>(name: &'static str) -> AskedParameter<P> {
    AskedParameter { name, needs: P::needs(), input: P::input(Some(name)), take: P::take }
}

impl<P> AskedParameter<P> {
    /// The state it needs the app to hold.
    pub fn needs(&self) -> Option<(TypeId, &'static str)> {
        self.needs
    }

    /// What is given, if it is.
    pub fn input(&self) -> Option<InputSpec> {
        self.input
    }

    /// Takes it.
    pub fn take(&self, parts: &JobParts<'_>) -> Result<P, Error> {
        (self.take)(parts, Some(self.name))
    }
}

/// A job on demand whose call the macro has written out.
pub struct WrittenOnDemand<F> {
    needs: Needs,
    inputs: Vec<Option<InputSpec>>,
    call: F,
}

/// Makes it of the states it needs, what it is given, and its call.
pub fn on_demand<F>(needs: Needs, inputs: Vec<Option<InputSpec>>, call: F) -> WrittenOnDemand<F>
where
    F: Fn(&JobParts<'_>) -> Result<JobFuture, Error> + Send + Sync + 'static,
{
    WrittenOnDemand { needs, inputs, call }
}

impl<F> OnDemandFunction<Written> for WrittenOnDemand<F>
where
    F: Fn(&JobParts<'_>) -> Result<JobFuture, Error> + Send + Sync + 'static,
{
    fn needs(&self) -> Vec<(TypeId, &'static str)> {
        self.needs.iter().copied().flatten().collect()
    }

    fn inputs(&self) -> Vec<InputSpec> {
        self.inputs.iter().copied().flatten().collect()
    }

    fn start(&self, parts: &JobParts<'_>) -> Result<JobFuture, Error> {
        (self.call)(parts)
    }
}

/// What a job's function may return.
#[diagnostic::on_unimplemented(
    message = "a job cannot return `{Self}`",
    label = "expected nothing or a `Result<()>`",
    note = "any error type that is `std::error::Error + Send + Sync` will do, and `runnel::Result<()>` takes them all"
)]
pub trait JobOutcome {
    /// The outcome.
    fn into_result(self) -> Result<(), Error>;
}

#[diagnostic::do_not_recommend]
impl<O: IntoOutcome> JobOutcome for O {
    fn into_result(self) -> Result<(), Error> {
        self.into_outcome()
    }
}

/// What a job has answered.
pub fn job_outcome<O: JobOutcome>(answer: O) -> Result<(), Error> {
    answer.into_result()
}

/// A job whose call the macro has written out.
pub struct WrittenJob<F> {
    needs: Needs,
    call: F,
}

/// Makes it of the states it needs and its call.
pub fn job<F>(needs: Needs, call: F) -> WrittenJob<F>
where
    F: Fn(&JobParts<'_>) -> Result<JobFuture, Error> + Send + Sync + 'static,
{
    WrittenJob { needs, call }
}

impl<F> JobFunction<Written> for WrittenJob<F>
where
    F: Fn(&JobParts<'_>) -> Result<JobFuture, Error> + Send + Sync + 'static,
{
    fn needs(&self) -> Vec<(TypeId, &'static str)> {
        self.needs.iter().copied().flatten().collect()
    }

    fn start(&self, parts: &JobParts<'_>) -> Result<JobFuture, Error> {
        (self.call)(parts)
    }
}

/// What a processor's function has answered.
pub fn outcome<O: IntoOutcome>(answer: O) -> Result<(), Error> {
    answer.into_outcome()
}

/// A handler whose call the macro has written out.
struct Expanded<I, K, F> {
    needs: Needs,
    call: F,
    input: PhantomData<fn(I, K)>,
}

impl<I, K, F> Expanded<I, K, F> {
    fn new(needs: Needs, call: F) -> Self {
        Self { needs, call, input: PhantomData }
    }
}

/// Tells written-out calls from functions, which are handlers or jobs by their own parameters.
pub struct Written;

impl<R, I, K, F> Handler<R, Written> for Expanded<I, K, F>
where
    R: Record,
    K: 'static,
    I: FromUnit<R, K>,
    F: Fn(I, &Parts<'_>) -> Result<Handling, Error> + Send + Sync + 'static,
{
    const BATCH: bool = I::BATCH;

    fn needs(&self) -> Vec<(TypeId, &'static str)> {
        self.needs.iter().copied().flatten().collect()
    }

    fn handle(&self, unit: Unit_<'_>, reading: &Reading<R>, parts: &Parts<'_>) -> Result<Handling, UnitError> {
        let input = I::from_unit(unit, reading).map_err(|(id, error)| UnitError::Decode(id, error))?;
        (self.call)(input, parts).map_err(UnitError::Handler)
    }
}

/// What `#[runnel::test]` runs its function with.
#[cfg(feature = "testing")]
#[doc(hidden)]
#[macro_export]
macro_rules! __run_test {
    (paused, $test:expr) => {
        $crate::testing::run($test)
    };
    (real_time, $test:expr) => {
        $crate::testing::run_in_real_time($test)
    };
}

/// What `#[runnel::test]` says where it cannot work.
#[cfg(not(feature = "testing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __run_test {
    ($time:ident, $test:expr) => {
        ::core::compile_error!(
            "`#[runnel::test]` needs the feature `testing` of runnel: `runnel-streams = { version = \"..\", features = \
             [\"testing\"] }` among the dev-dependencies"
        )
    };
}
