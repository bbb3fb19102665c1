//! Who looks on while jobs run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::Progress;
use crate::error::{Error, chain, panic_text};
use crate::runs::{AttemptLog, RunContext, StepLog};

/// Looks on while jobs on demand run: `App::observer`.
///
/// It is called in the middle of the run, and the run goes on when it has answered. What it answers changes nothing: an error
/// or a panic in it is a warning in the log.
///
/// ```
/// use runnel::runs::{AttemptLog, RunObserver};
/// use runnel::{Error, Result, RunContext, async_trait};
///
/// struct Pager;
///
/// #[async_trait]
/// impl RunObserver for Pager {
///     async fn on_retry(&self, run: &RunContext, _: &AttemptLog, retry: u32, last: bool, error: &Error) -> Result<()> {
///         if last {
///             println!("{}: retry {retry} is the last one, after {error}", run.task_name());
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
#[allow(unused_variables)] // What is not overridden looks at nothing.
pub trait RunObserver: Send + Sync + 'static {
    /// A run begins. Once for each run, or each time it is resumed.
    async fn on_before(&self, run: &RunContext) -> Result<(), Error> {
        Ok(())
    }

    /// A run is over: its last attempt. Once for each run, or each time it was resumed.
    async fn on_after(&self, run: &RunContext, attempt: &AttemptLog) -> Result<(), Error> {
        Ok(())
    }

    /// An attempt has failed with that error, and there will be another one. `retry` is 1 before the second attempt;
    /// `last` says that no other can follow it, which is never known before of a policy of one's own.
    async fn on_retry(
        &self,
        run: &RunContext,
        attempt: &AttemptLog,
        retry: u32,
        last: bool,
        error: &Error,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// A step begins. Not for steps that were done before.
    async fn before_step(&self, run: &RunContext, step: &StepLog) -> Result<(), Error> {
        Ok(())
    }

    /// A step is over.
    async fn after_step(&self, run: &RunContext, step: &StepLog) -> Result<(), Error> {
        Ok(())
    }

    /// How far the run is: each `log_period`, once it counts something, and when it is over.
    async fn on_log(&self, progress: &Progress) -> Result<(), Error> {
        Ok(())
    }
}

/// All who look on, in the order in which they were given.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn RunObserver>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Arc<dyn RunObserver>) {
        self.0.push(observer);
    }

    /// Tells each of them. What they answer changes nothing.
    pub(crate) async fn tell<'a>(
        &'a self,
        what: &str,
        call: impl Fn(&'a dyn RunObserver) -> BoxFuture<'a, Result<(), Error>> + Send,
    ) {
        for observer in &self.0 {
            // The call itself may panic too, before there is a future.
            let told = AssertUnwindSafe(async { call(&**observer).await }).catch_unwind().await;
            let error = match told {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => chain(&*error),
                Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
            };
            tracing::warn!(%error, "an observer failed in {what}; the run goes on");
        }
    }
}
