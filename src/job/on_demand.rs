//! Functions that can be jobs on demand: like other jobs, and with an input.

use std::any::TypeId;
use std::future::Future;

use super::input::{InputSpec, JobParameter};
use super::{JobFuture, JobParts};
use crate::error::Error;
use crate::processor::IntoOutcome;

/// An async function that can be a job on demand. `Parameters` is only there to tell functions apart.
///
/// It takes what other jobs take, and one value more, as which it reads its whole input: a struct with a field for each
/// parameter. `#[runnel::job]` takes any number of them, by the names they have in the function.
#[diagnostic::on_unimplemented(
    message = "this function cannot be a job on demand",
    label = "expected an async function of `RunContext`, `State<T>` and at most one input, that returns nothing or a `Result<()>`",
    note = "an input is `Serialize + Deserialize + Send`; with `#[runnel::job]` there may be several, by name"
)]
pub trait OnDemandFunction<Parameters>: Send + Sync + 'static {
    /// The states its parameters need.
    fn needs(&self) -> Vec<(TypeId, &'static str)>;

    #[doc(hidden)]
    fn inputs(&self) -> Vec<InputSpec>;

    #[doc(hidden)]
    fn start(&self, parts: &JobParts<'_>) -> Result<JobFuture, Error>;
}

/// One input, or none.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this function has more than one input, and nothing tells which part of it is for which",
    note = "make them one struct, or write the job with `#[runnel::job]`, which knows their names"
)]
pub trait AtMostOne {}
impl AtMostOne for () {}
impl<T> AtMostOne for (T, ()) {}

macro_rules! given {
    () => { () };
    ($first:ident $($rest:ident)*) => { <$first as JobParameter>::Before<given!($($rest)*)> };
}

macro_rules! functions {
    ($($param:ident)*) => {
        impl<F, Fut, $($param,)*> OnDemandFunction<($($param,)*)> for F
        where
            F: Fn($($param,)*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoOutcome,
            $($param: JobParameter,)*
            given!($($param)*): AtMostOne,
        {
            fn needs(&self) -> Vec<(TypeId, &'static str)> {
                let needs: Vec<Option<(TypeId, &'static str)>> = vec![$($param::needs(),)*];
                needs.into_iter().flatten().collect()
            }

            fn inputs(&self) -> Vec<InputSpec> {
                let inputs: Vec<Option<InputSpec>> = vec![$($param::input(None),)*];
                inputs.into_iter().flatten().collect()
            }

            #[allow(unused_variables)] // A job without parameters needs no parts.
            fn start(&self, parts: &JobParts<'_>) -> Result<JobFuture, Error> {
                let future = self($($param::take(parts, None)?,)*);
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
