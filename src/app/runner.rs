//! The way to run a job on demand: [`App::job`], and [`Runner`] where there is no Redis.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::broker::memory::Memory;
use crate::clock;
use crate::error::Failure;
use crate::job::{Inputs, JobSpec, When, read_positional};
use crate::nearest::did_you_mean;
use crate::runner::{LOG_PERIOD, Past, Presence, RunReport, Stage, task_of, worker_name};
use crate::runs::output::SHIPPED_WITHIN;
use crate::runs::recorder::{Direct, Journal, Recorder};
use crate::runs::{RunId, RunLogStore, RunObserver, Stores, exposing};
use crate::settings::{Overrides, Settings, TaskLogPolicy};
use crate::stream::current::Handle;
use crate::tasks::{Gate, Tasks};

use super::stage::Ground;
use super::{App, registry};

/// What `#[runnel::job]` makes of a function: a type of its name, which says what it is given.
pub trait OnDemand: registry::Item {
    /// Its input.
    type Inputs: Inputs;
    /// The job's name.
    const NAME: &'static str;
}

/// The input of a job that is only known by its name: anything that serde writes as an object.
#[derive(Debug)]
pub enum Whole {}

/// Runs a job on demand: made by [`App::job`] and [`App::job_named`], or by [`Runner::of`] where there is no Redis.
///
/// ```
/// use runnel::prelude::*;
/// use runnel::Runner;
/// use runnel::runs::MemoryStore;
///
/// #[runnel::job(retry = fixed(max_attempts = 3, wait = "5s"))]
/// async fn ingest(run: RunContext, day: u32) -> Result<()> {
///     run.step("load", async { Ok::<_, runnel::Error>(day * 2) }).await?;
///     Ok(())
/// }
///
/// # fn main() { runnel::testing::run(async {
/// let report = Runner::of::<ingest>().store(MemoryStore::new()).run(22).await?.into_result()?;
/// assert_eq!(report.attempts.len(), 1);
/// # Ok::<_, runnel::Error>(()) }).unwrap() }
/// ```
#[derive(Clone)]
pub struct Runner<I = Whole> {
    app: App,
    job: String,
    /// Straight into these, without Redis.
    direct: Option<Stores>,
    handle: Option<Handle>,
    work_dir: Option<PathBuf>,
    log_period: Duration,
    drain: CancellationToken,
    abort: CancellationToken,
    inputs: PhantomData<fn(I)>,
}

/// What a command line gives a job.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Values in the order of the job's parameters.
    InOrder(Vec<String>),
    /// By name.
    ByName(Map<String, Value>),
}

impl Asked {
    /// Whether nothing is given.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::InOrder(texts) => texts.is_empty(),
            Self::ByName(values) => values.is_empty(),
        }
    }
}

impl App {
    /// A job of this app, to be run here and now: `app.job::<ingest>().run(day).await?`. Connects at the first run.
    pub fn job<J: OnDemand>(&self) -> Runner<J::Inputs> {
        let is_known = self.jobs.iter().any(|job| job.name == J::NAME);
        let app = if is_known { self.clone() } else { self.clone().with::<J>() };
        Runner::<J::Inputs>::new(app, J::NAME)
    }

    /// The same by name, for jobs without the macro and for names that come from elsewhere.
    pub fn job_named(&self, name: &str) -> Runner {
        Runner::<Whole>::new(self.clone(), name)
    }

    /// Resumes a run of whatever job of this app it is one of, with what it was given at first: what `runs retry` does.
    ///
    /// # Errors
    /// [`Failure::NotFound`] if no job of this app has such a run; [`Failure::RetryValidation`] says why a run cannot be
    /// resumed.
    pub async fn retry_run(&self, run_id: &RunId) -> Result<RunReport, Failure> {
        let runner = self.job_named("");
        let handle = runner.handle().await?;
        let run_logs = self.documents().await?;
        let jobs: Vec<&str> = self.jobs.iter().filter(|job| is_on_demand(job)).map(|job| job.name.as_str()).collect();
        let past = Past { run_logs: Some(&*run_logs), stream: Some(&handle) };
        match task_of(&past, &jobs, run_id).await? {
            Some(job) if jobs.contains(&job.as_str()) => self.job_named(&job).on(handle).retry(run_id).await,
            Some(other) => {
                let known = self.jobs.iter().find(|job| job.name == other);
                let kind = known.map(|job| format!("{} ", job.when.kind())).unwrap_or_default();
                let why = "only runs of jobs on demand of this app can be resumed";
                Err(Failure::RetryValidation(format!("run {run_id} is one of {kind}`{other}`: {why}")))
            }
            None => Err(Failure::NotFound(format!("no job of app `{}` has a run {run_id}", self.name()))),
        }
    }
}

pub(super) fn is_on_demand(job: &JobSpec) -> bool {
    matches!(job.when, When::OnDemand)
}

impl Runner {
    /// A job without an app and without Redis: its runs are written straight into a store ([`Runner::store`]; if none is
    /// given, they are forgotten with the process). The same steps, attempts and resumed runs; nobody notices a crash
    /// before the next run of the job on the same machine.
    pub fn of<J: OnDemand>() -> Runner<J::Inputs> {
        Runner::<J::Inputs>::new(App::bare(J::NAME).with::<J>(), J::NAME).store(Stores::memory())
    }

    /// Runs it with that input: anything that serde writes as an object, by the names of its parameters.
    ///
    /// # Errors
    /// As for jobs of a known type.
    pub async fn run(&self, input: impl Serialize) -> Result<RunReport, Failure> {
        // The job itself is to have its secrets.
        let given = match exposing(|| serde_json::to_value(input)) {
            Ok(Value::Object(given)) => given,
            Ok(Value::Null) => Map::new(),
            Ok(_) => return Err(self.refused("its input must be an object, by the names of its parameters")),
            Err(error) => return Err(self.refused(&format!("its input cannot be written: {error}"))),
        };
        self.run_object(given).await
    }

    /// Runs it with what a command line gives.
    pub(crate) async fn run_asked(&self, asked: Asked) -> Result<RunReport, Failure> {
        let given = match asked {
            Asked::ByName(given) => given,
            Asked::InOrder(texts) => {
                let read = read_positional(&self.spec()?.call.inputs, &texts);
                read.map_err(|why| self.refused(&why))?
            }
        };
        self.run_object(given).await
    }
}

impl<I: Inputs> Runner<I> {
    /// Runs it with that input: its value, or a tuple of several in the order of the function's parameters. What the last run
    /// of the job has left unfinished is finished first.
    ///
    /// # Errors
    /// When it cannot run at all: its input or its configuration cannot work, the store does not answer. A run that fails is
    /// no error here; [`RunReport::into_result`] makes it one.
    pub async fn run(&self, given: I::Given) -> Result<RunReport, Failure> {
        let specs = &self.spec()?.call.inputs;
        let names: Vec<&str> = specs.iter().filter_map(|spec| spec.name).collect();
        let object = I::object(given, &names);
        let object = object.map_err(|error| self.refused(&format!("its input cannot be written: {error}")))?;
        self.run_object(object).await
    }
}

impl<I> Runner<I> {
    fn new(app: App, job: &str) -> Self {
        Self {
            app,
            job: job.to_owned(),
            direct: None,
            handle: None,
            work_dir: None,
            log_period: LOG_PERIOD,
            drain: CancellationToken::new(),
            abort: CancellationToken::new(),
            inputs: PhantomData,
        }
    }

    /// Writes its runs straight into that store, without Redis.
    pub fn store(mut self, store: impl Into<Stores>) -> Self {
        self.direct = Some(store.into());
        self
    }

    /// Holds a value for a job that asks for `State<T>`.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.app = self.app.state(value);
        self
    }

    /// Has somebody look on.
    pub fn observer(mut self, observer: impl RunObserver) -> Self {
        self.app = self.app.observer(observer);
        self
    }

    /// Gives a store of traces a name: see [`App::trace_store`].
    pub fn trace_store(mut self, name: impl Into<String>, store: impl RunLogStore + 'static) -> Self {
        self.app = self.app.trace_store(name, store);
        self
    }

    /// The folder under which the job has one of its own. Default: setting `job_work_dir`, `.runnel/jobs`.
    pub fn work_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.work_dir = Some(folder.into());
        self
    }

    /// How often those who look on are told how far the run is. Default: 1 s.
    pub fn log_period(mut self, time: Duration) -> Self {
        self.log_period = time;
        self
    }

    /// Over that connection.
    pub(crate) fn on(mut self, handle: Handle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// Until these are cancelled: what runs has the grace period to finish, or is dropped.
    pub(crate) fn until(mut self, drain: CancellationToken, abort: CancellationToken) -> Self {
        (self.drain, self.abort) = (drain, abort);
        self
    }

    /// Has somebody look on who is shared.
    pub(crate) fn watched_by(mut self, observer: Option<Arc<dyn RunObserver>>) -> Self {
        observer.into_iter().for_each(|observer| self.app.observers.add(observer));
        self
    }

    /// Resumes that run of the job, with what it was given at first.
    ///
    /// # Errors
    /// [`Failure::RetryValidation`] says why it cannot be resumed: it has ended well or runs, the job has changed, or it was
    /// given a secret, which is not kept.
    pub async fn retry(&self, run_id: &RunId) -> Result<RunReport, Failure> {
        let (job, section) = (self.spec()?, self.app.job_section(&self.job)?);
        let place = self.place().await?;
        let report = place.stage.retry(job, &section, run_id, None).await;
        place.leave().await;
        report
    }

    /// Sends traces of this job again that could not be stored and were kept as files, and removes those that now are
    /// stored. Each run does this too, before it begins, and so do workers on the same machine now and then.
    ///
    /// # Errors
    /// When the app cannot be reached; a trace that still cannot be stored is a warning, and stays.
    pub async fn resend_traces(&self) -> Result<(), Failure> {
        let (job, section) = (self.spec()?, self.app.job_section(&self.job)?);
        let place = self.place().await?;
        place.stage.traces().resend_of(job, &section, &place.stage.work_dir).await;
        place.leave().await;
        Ok(())
    }

    async fn run_object(&self, given: Map<String, Value>) -> Result<RunReport, Failure> {
        let (job, section) = (self.spec()?, self.app.job_section(&self.job)?);
        let place = self.place().await?;
        let report = place.stage.run(job, &section, given).await;
        place.leave().await;
        report
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::Invalid(format!("job `{}` cannot run: {why}", self.job))
    }

    fn spec(&self) -> Result<&JobSpec, Failure> {
        let all = || self.app.jobs.iter().filter(|job| is_on_demand(job));
        all().find(|job| job.name == self.job).ok_or_else(|| {
            let near = did_you_mean(&self.job, all().map(|job| job.name.as_str()));
            Failure::NotFound(format!("app `{}` has no job on demand `{}`{near}", self.app.name(), self.job))
        })
    }

    async fn handle(&self) -> Result<Handle, Failure> {
        match &self.handle {
            Some(handle) => Ok(handle.clone()),
            None => self.app.connected.get_or_try_init(|| self.app.connect_to_send()).await.cloned(),
        }
    }

    /// What cannot work about the job, before anything is done for it: its folder is named after it.
    fn check(&self, settings: &Settings) -> Result<(), Failure> {
        let job = self.spec()?;
        let why =
            job.refusals(settings).into_iter().map(|why| format!("job `{}` ({}): {why}", job.name, job.declared_at));
        let why = why.chain(self.app.refusals_of_plan(job));
        match why.chain(self.app.missing_states_of(job)).next() {
            None => Ok(()),
            Some(why) => Err(Failure::Invalid(why)),
        }
    }

    /// Where it is run. The fleet hears of it only once the job can be run.
    async fn place(&self) -> Result<Place, Failure> {
        let (direct, worker) = (self.direct.is_some(), worker_name());
        let handle = match direct {
            // Nothing is sent over it: outside of an app, streams have nowhere to go.
            true => {
                let settings = self.app.settings(&Overrides::new())?.settings;
                Handle::new(self.app.name().to_owned(), Arc::new(Memory::new().connect()), settings)?
            }
            false => self.handle().await?,
        };
        self.check(handle.settings())?;
        let states = Arc::new(self.app.make_states().await?);
        let (journal, run_logs, around): (Arc<dyn Journal>, Option<Arc<dyn RunLogStore>>, _) = match &self.direct {
            Some(stores) => {
                let journal = Direct::new(stores.clone(), worker.clone());
                (Arc::new(journal), Some(stores.run_logs.clone()), None)
            }
            None => {
                let run_logs = Some(self.app.documents().await?);
                let (presence, clock) = Presence::announce(&handle, &worker).await?;
                let policy = handle.settings().task_log_policy;
                let (recorder, writing) = Recorder::new(handle.clone(), clock, worker.clone(), policy);
                recorder.heard(presence.alive());
                let mut writes = Tasks::behind(&Gate::default());
                writes.start(writing);
                (Arc::new(recorder), run_logs, Some((presence, writes)))
            }
        };
        let work_dir = self.work_dir.clone().unwrap_or_else(|| handle.settings().job_work_dir.as_str().into());
        let (drain, abort) = (self.drain.clone(), self.abort.clone());
        // What is not written down is not resumed either.
        let is_recorded = handle.settings().task_log_policy != TaskLogPolicy::Off;
        let alive = around.as_ref().filter(|_| is_recorded).map(|(presence, _)| presence.alive());
        let ground = Ground { handle, states, worker, journal, run_logs, drain, abort, alive, halts: None };
        let stage = Stage {
            is_current: !direct,
            has_stream: !direct,
            work_dir,
            log_period: self.log_period.max(Duration::from_millis(1)),
            ..self.app.stage(ground)?
        };
        Ok(Place { stage, around })
    }
}

/// How long ends that could not be written yet are waited for.
const GOODBYE: Duration = Duration::from_secs(1);

struct Place {
    stage: Stage,
    around: Option<(Presence, Tasks)>,
}

impl Place {
    async fn leave(self) {
        let Self { stage, around } = self;
        if let Some(keeping) = stage.keeping.clone() {
            keeping.flush(SHIPPED_WITHIN).await;
        }
        drop(stage);
        let Some((presence, mut writes)) = around else { return };
        // The last events: they are sent already, or kept because the store does not answer.
        tokio::select! {
            _ = writes.next() => {}
            () = clock::sleep(GOODBYE) => {}
        }
        presence.goodbye().await;
    }
}
