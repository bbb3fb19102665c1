//! Tasks, timers, crontabs and jobs on demand, as data: a function and when it is run.
//!
//! Types are forgotten here: above this room a job is a [`JobSpec`]. What runs them is in the worker and, for jobs on
//! demand, in the runner.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::decide::schedule::{Delivery, Missed, Overlap};
use crate::error::Error;
use crate::processor::extract::States;
use crate::processor::{DeclaredAt, IntoOutcome, State};
use crate::runs::{RunContext, TaskKind};
use crate::settings::ExceptionPolicy;

mod input;
mod instants;
mod on_demand;
mod plan;
mod policy;

pub use crate::runs::{Inaction, inaction};
pub use input::{InputSpec, Inputs, JobParameter};
pub(crate) use input::{read_input, read_positional};
pub use on_demand::{AtMostOne, OnDemandFunction};
pub use plan::TraceInfo;
pub(crate) use plan::{JobSection, Plan, Resolved};
pub use policy::{CustomRetry, RetryPolicy};

/// When a job runs.
#[derive(Clone, Debug)]
pub(crate) enum When {
    /// At the worker's start; on the leader: once in each generation of the fleet.
    AtStart,
    /// Every interval.
    Every { interval: Duration, jitter: Duration, overlap: Overlap },
    /// At the instants of a crontab, in its own zone or that of the settings.
    At { spec: String, timezone: Option<String>, missed: Missed, max_lateness: Option<Duration>, delivery: Delivery },
    /// When it is asked for.
    OnDemand,
}

impl When {
    pub(crate) fn kind(&self) -> TaskKind {
        match self {
            Self::AtStart => TaskKind::Task,
            Self::Every { .. } => TaskKind::Timer,
            Self::At { .. } => TaskKind::Crontab,
            Self::OnDemand => TaskKind::Job,
        }
    }
}

/// A job, declared.
#[derive(Clone)]
pub(crate) struct JobSpec {
    pub(crate) name: String,
    pub(crate) when: When,
    /// Once per fleet, by its leader; else on every worker.
    pub(crate) on_leader: bool,
    pub(crate) exception_policy: ExceptionPolicy,
    /// How long a run may take.
    pub(crate) timeout: Option<Duration>,
    /// Of jobs on demand: how their runs are tried and kept.
    pub(crate) plan: Plan,
    pub(crate) call: Arc<JobCall>,
    pub(crate) declared_at: DeclaredAt,
}

impl std::fmt::Debug for JobSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobSpec")
            .field("name", &self.name)
            .field("when", &self.when)
            .field("on_leader", &self.on_leader)
            .field("exception_policy", &self.exception_policy)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A running job.
pub type JobFuture = BoxFuture<'static, Result<(), Error>>;

/// What there is to extract from.
pub struct JobParts<'a> {
    pub(crate) run: &'a RunContext,
    pub(crate) states: &'a States,
}

/// A job's function whose types are forgotten.
pub(crate) struct JobCall {
    /// The states it needs.
    pub(crate) needs: Vec<(TypeId, &'static str)>,
    /// What it is given, in order.
    pub(crate) inputs: Vec<InputSpec>,
    start: StartJob,
}

type StartJob = Box<dyn Fn(&JobParts<'_>) -> Result<JobFuture, Error> + Send + Sync>;

impl JobCall {
    /// Of a function that is given nothing but what it asks for.
    pub(crate) fn of<P>(function: impl JobFunction<P>) -> Self {
        let needs = function.needs();
        Self { needs, inputs: Vec::new(), start: Box::new(move |parts| function.start(parts)) }
    }

    /// Of a function that is given an input as well.
    pub(crate) fn on_demand<P>(function: impl OnDemandFunction<P>) -> Self {
        let (needs, inputs) = (function.needs(), function.inputs());
        Self { needs, inputs, start: Box::new(move |parts| function.start(parts)) }
    }

    /// Starts it.
    pub(crate) fn call(&self, parts: &JobParts<'_>) -> Result<JobFuture, Error> {
        (self.start)(parts)
    }
}

/// Something a job's function may have as a parameter.
#[diagnostic::on_unimplemented(
    message = "a job cannot ask for `{Self}`",
    label = "expected `RunContext` or `State<T>`",
    note = "a job has no event: `Context` and `Key` are for processors",
    note = "values of your own are held by the app: ask for `State<{Self}>`, and give it with `App::state(..)`"
)]
pub trait JobExtract: Sized + Send + 'static {
    /// The state it needs the app to hold, checked at start: its type and the type's name.
    fn needs() -> Option<(TypeId, &'static str)> {
        None
    }

    /// Takes it.
    fn extract(parts: &JobParts<'_>) -> Result<Self, Error>;
}

impl JobExtract for RunContext {
    fn extract(parts: &JobParts<'_>) -> Result<Self, Error> {
        Ok(parts.run.clone())
    }
}

impl<T: Send + Sync + 'static> JobExtract for State<T> {
    fn needs() -> Option<(TypeId, &'static str)> {
        Some((TypeId::of::<T>(), std::any::type_name::<T>()))
    }

    fn extract(parts: &JobParts<'_>) -> Result<Self, Error> {
        parts.states.state()
    }
}

/// An async function that can be a job. `Parameters` is only there to tell functions apart.
#[diagnostic::on_unimplemented(
    message = "this function cannot be a job",
    label = "expected an async function of `RunContext` and `State<T>`, in any order, that returns nothing or a `Result<()>`"
)]
pub trait JobFunction<Parameters>: Send + Sync + 'static {
    /// The states its parameters need.
    fn needs(&self) -> Vec<(TypeId, &'static str)>;

    #[doc(hidden)]
    fn start(&self, parts: &JobParts<'_>) -> Result<JobFuture, Error>;
}

macro_rules! functions {
    ($($param:ident)*) => {
        impl<F, Fut, $($param,)*> JobFunction<($($param,)*)> for F
        where
            F: Fn($($param,)*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoOutcome,
            $($param: JobExtract,)*
        {
            fn needs(&self) -> Vec<(TypeId, &'static str)> {
                let needs: Vec<Option<(TypeId, &'static str)>> = vec![$($param::needs(),)*];
                needs.into_iter().flatten().collect()
            }

            #[allow(unused_variables)] // A job without parameters needs no parts.
            fn start(&self, parts: &JobParts<'_>) -> Result<JobFuture, Error> {
                let future = self($($param::extract(parts)?,)*);
                Ok(Box::pin(async move { future.await.into_outcome() }))
            }
        }
    };
}

functions!();
functions!(A);
functions!(A B);
functions!(A B C);
functions!(A B C D);
functions!(A B C D E);
