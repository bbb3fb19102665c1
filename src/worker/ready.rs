//! What a worker does before anything of it runs: makes its states, joins the fleet, declares and registers.
//!
//! Nothing here has to be finished: whoever drops it in the middle leaves nothing behind but a name in the roster, which
//! lapses. Whether there is a store at all was found out when the app was connected; one that goes away from there on is
//! waited for as long as a fail-over may take. An outage that lasts longer ends the start, for a supervisor to try again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use crate::broker::{Group, Standing};
use crate::clock::{self, ServerClock};
use crate::error::{Doing, Failure, chain};
use crate::executor::tracked::Tracked;
use crate::executor::{Appetite, Executor, Halt, Surroundings};
use crate::processor::{Chain, Manner, ProcessorSpec};
use crate::runs::Stores;
use crate::runs::recorder::{Alive, Announcing, Recorder};
use crate::settings::TaskLogPolicy;
use crate::tasks::Tasks;
use crate::witness::Witness;

use super::about::About;
use super::face::Face;
use super::jobs::run::JobTimes;
use super::{Switches, Worker, run_log};

/// How long the store may be away while a worker starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses between questions that are not answered.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A worker of which everything can be started.
pub(super) struct Ready {
    pub(super) face: Face,
    pub(super) around: Surroundings,
    pub(super) executors: Vec<Executor>,
    /// Where the task log is written, if it is.
    pub(super) stores: Option<Stores>,
    pub(super) server_clock: ServerClock,
    pub(super) times: JobTimes,
    /// Partitions that are halted.
    pub(super) halts: mpsc::UnboundedReceiver<Halt>,
    /// Jobs that end the worker, each as a sentence.
    pub(super) job_halts: mpsc::UnboundedSender<String>,
    pub(super) halting_jobs: mpsc::UnboundedReceiver<String>,
    /// Says that it is alive, and how well that is heard.
    pub(super) announcing: Tasks,
    pub(super) alive: Alive,
    /// Writes down what could not be written at once.
    pub(super) writes: Tasks,
}

impl Worker {
    /// Gets everything ready.
    pub(super) async fn get_ready(&self, switches: &Switches) -> Result<Ready, Failure> {
        let settings = self.handle.settings();
        let policy = settings.task_log_policy;
        let stores = match policy {
            TaskLogPolicy::Off => None,
            _ => Some(self.app.stores().await?),
        };
        let processors = self.chosen()?;
        let keeping = self.app.keeping(settings)?;
        if let Some(keeping) = &keeping {
            keeping.prepare().await?;
            keeping.warn_unless_captured();
        }
        let states = Arc::new(self.app.make_states().await?);
        let (reports, halts) = mpsc::unbounded_channel();
        let (job_halts, halting_jobs) = mpsc::unbounded_channel();
        let (names, times) = (processors.iter().map(|spec| spec.name.clone()).collect(), JobTimes::default());
        let face = Face::open(settings, &self.gate).await?;
        let about = About::of(&self.app, names, times.clone(), face.url());
        let (said, server_clock) = patiently(|| self.join(&about)).await?;
        let alive = said.alive();
        let mut announcing = Tasks::behind(&self.gate);
        // Bids to lead correct the clock.
        announcing.start(said.run(None));
        let (recorder, writing) = Recorder::new(self.handle.clone(), server_clock.clone(), self.name.clone(), policy);
        recorder.found_at(face.url());
        recorder.heard(alive.clone());
        let mut writes = Tasks::behind(&self.gate);
        writes.start(writing);
        let around = Surroundings {
            handle: self.handle.clone(),
            states,
            worker: self.name.clone(),
            appetite: Arc::new(Appetite::new(settings.prefetch_bytes)),
            suspects: Arc::new(Semaphore::new(1)),
            gate: self.gate.clone(),
            witness: self.witness.clone(),
            recorder,
            keeping,
            reports,
            drain: switches.drain.clone(),
            abort: switches.abort.clone(),
        };
        let processors = processors.into_iter().map(|spec| tracked(spec, &around, &job_halts)).collect();
        let executors = self.executors(processors, &around, stores.as_ref()).await?;
        Ok(Ready {
            face,
            around,
            executors,
            stores,
            server_clock,
            times,
            halts,
            job_halts,
            halting_jobs,
            alive,
            announcing,
            writes,
        })
    }

    /// Joins the fleet. Answers what time it is there.
    async fn join(&self, about: &About) -> Result<(Announcing, ServerClock), Failure> {
        let (broker, ttl) = (self.handle.broker(), self.handle.settings().default_lock_expiry);
        let doing = || format!("join the fleet of app `{}`", self.app.name());
        broker.enroll(&self.name, ttl, &self.app.version).await.doing(doing)?;
        let about = about.clone();
        Announcing::begin(&self.handle, &self.name, Standing::Member, move || about.text()).await.doing(doing)
    }

    /// All are declared before any is run: what one trims must wait for the others' registration.
    async fn executors(
        &self,
        processors: Vec<Arc<ProcessorSpec>>,
        around: &Surroundings,
        stores: Option<&Stores>,
    ) -> Result<Vec<Executor>, Failure> {
        let mut executors = Vec::new();
        for stream in &self.app.streams {
            patiently(|| self.handle.outlet(stream)).await?;
        }
        for spec in processors {
            executors.push(patiently(|| self.prepare(spec.clone(), around)).await?);
        }
        if let Some(stores) = stores {
            // Nobody watches what is runnel's own.
            let around = Surroundings { witness: Witness::default(), ..around.clone() };
            let projector = Arc::new(run_log::projector(stores.clone(), self.handle.settings()));
            executors.push(patiently(|| self.prepare(projector.clone(), &around)).await?);
        }
        Ok(executors)
    }

    /// The executor of a processor, which is registered with its stream.
    pub(super) async fn prepare(&self, spec: Arc<ProcessorSpec>, around: &Surroundings) -> Result<Executor, Failure> {
        let manner: Manner = spec.under(self.handle.settings());
        let outlet = self.handle.outlet(&spec.stream).await?;
        let group = Group { stream: outlet.stream().clone(), processor: spec.name.as_str().into() };
        let doing = || format!("register processor `{}` with stream `{}`", spec.name, spec.stream.name);
        self.handle.broker().register(&group).await.doing(doing)?;
        Ok(Executor::new(spec, manner, group, around.clone()))
    }
}

/// Units that are runs of their own are written down around everything else.
fn tracked(
    spec: Arc<ProcessorSpec>,
    around: &Surroundings,
    halts: &mpsc::UnboundedSender<String>,
) -> Arc<ProcessorSpec> {
    if !spec.tracks_units() {
        return spec;
    }
    let tracked = Tracked { recorder: around.recorder.clone(), halts: halts.clone() };
    let middleware = Chain::default().with(tracked).around(&spec.middleware);
    Arc::new(ProcessorSpec { middleware, ..(*spec).clone() })
}

/// Asks until the store answers, within reason. Only for what may be asked again.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let began = clock::now();
    let mut pause = PAUSE;
    loop {
        let failure = match ask().await {
            Err(failure) if clock::now().since(began) < PATIENCE && is_outage(&failure) => failure,
            answer => return answer,
        };
        if pause == PAUSE {
            tracing::warn!(error = %chain(&failure), "the store went away while this worker starts; asking again");
        }
        clock::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_outage(failure: &Failure) -> bool {
    matches!(failure, Failure::Broker { source, .. } if source.is_transient())
}
