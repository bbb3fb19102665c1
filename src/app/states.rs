//! The values that functions ask for as `State<T>`: held, or made at start; and which of them nothing gives.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::{App, Setup};
use crate::error::{Error, Failure};
use crate::job::JobSpec;
use crate::processor::Style;
use crate::processor::extract::{States, missing_state};

/// A state that is made at start: its type, that type's name, and how.
pub(super) type LateState = (TypeId, &'static str, StateMaker);
type StateMaker = Arc<dyn Fn(Setup) -> BoxFuture<'static, Result<Installed, Error>> + Send + Sync>;
type Installed = Box<dyn FnOnce(&mut States) -> bool + Send>;

impl App {
    /// Holds a value for every function that asks for `State<T>`.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        if !self.states.hold(value) {
            self.refusals.push(format!("the app holds two states of type `{}`", std::any::type_name::<T>()));
        }
        self
    }

    /// Makes such a value when the app starts: a connection pool, for example. An error ends the start.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # struct Pool;
    /// # impl Pool { async fn connect(url: &str) -> runnel::Result<Pool> { Ok(Pool) } }
    /// let app = App::bare("shop").state_with(async |setup| Ok(Pool::connect(&setup.var("DATABASE_URL")?).await?));
    /// ```
    pub fn state_with<T, F, Fut>(mut self, make: F) -> Self
    where
        T: Send + Sync + 'static,
        F: Fn(Setup) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let maker: StateMaker = Arc::new(move |setup| {
            let future = make(setup);
            Box::pin(async move {
                let value = future.await?;
                Ok(Box::new(move |states: &mut States| states.hold(value)) as Installed)
            })
        });
        self.state_makers.push((TypeId::of::<T>(), std::any::type_name::<T>(), maker));
        self
    }

    /// The states that functions ask for and nothing gives.
    pub(crate) fn missing_states(&self) -> Vec<String> {
        let processors = self.processors.iter().map(|processor| {
            let needs = match &processor.style {
                Style::Handler(call) => call.needs(),
                Style::Loop(run) => run.needs(),
            };
            (format!("processor `{}` ({})", processor.name, processor.declared_at), needs)
        });
        let jobs = self
            .jobs
            .iter()
            .map(|job| (format!("{} `{}` ({})", job.when.kind(), job.name, job.declared_at), job.call.needs.clone()));
        self.missing_of(processors.chain(jobs))
    }

    /// Those that one job asks for.
    pub(super) fn missing_states_of(&self, job: &JobSpec) -> Vec<String> {
        self.missing_of([(format!("job `{}` ({})", job.name, job.declared_at), job.call.needs.clone())])
    }

    fn missing_of(&self, all: impl IntoIterator<Item = (String, Vec<(TypeId, &'static str)>)>) -> Vec<String> {
        let mut missing = Vec::new();
        for (who, needs) in all {
            for (id, name) in needs {
                if !self.states.has(id) && !self.state_makers.iter().any(|(made, ..)| *made == id) {
                    missing.push(format!("{who}: {}", missing_state(name)));
                }
            }
        }
        missing
    }

    /// Makes the states that are made at start.
    pub(crate) async fn make_states(&self) -> Result<States, Failure> {
        let mut states = self.states.clone();
        for (_, name, make) in &self.state_makers {
            let setup = Setup { app: self.name.clone() };
            let install = make(setup).await.map_err(|source| Failure::State { name: (*name).to_owned(), source })?;
            if !install(&mut states) {
                return Err(Failure::Invalid(format!("the app holds two states of type `{name}`")));
            }
        }
        Ok(states)
    }
}
