//! Apps under test, without Redis: [`TestApp`] runs one on `memory://`, under paused time.
//!
//! ```
//! use runnel::prelude::*;
//! use runnel::testing::TestApp;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order { id: u64 }
//!
//! # runnel::testing::run(async {
//! // #[runnel::test]
//! let orders = Stream::new("orders", |o: &Order| o.id.into());
//! let mut app = App::bare("shop");
//! app.processor(&orders, async |_: Order| {}).name("printer");
//! let shop = TestApp::start(app).await;
//!
//! shop.send(&orders, Order { id: 7 }).await;
//! shop.until_idle().await;
//!
//! assert_eq!(shop.settled("printer").len(), 1);
//! # });
//! ```
//!
//! Under `#[runnel::test]` time stands still while something runs and jumps to the next timer when nothing does, so waits
//! and backoffs take no time. With `#[runnel::test(real_time)]` it passes as usual. [`run`] does the same without the
//! macro, and other runtimes serve as well: `#[tokio::test(start_paused = true)]`.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::app::App;
use crate::broker::memory::{Memory, MemoryBroker, Step};
use crate::broker::{Broker, Group, Intervention, PartitionSurvey, Place};
use crate::clock;
use crate::error::Failure;
use crate::event::{EventId, Partition};
use crate::nearest::did_you_mean;
use crate::processor::ProcessorSpec;
use crate::record::Record;
use crate::runs::Stores;
use crate::settings::{Overrides, Settings};
use crate::stream::current::{self, Handle};
use crate::stream::{Bound, Stream, StreamSpec};
use crate::tasks::{Gate, Tasks};
use crate::witness::{Sight, Witness};
use crate::worker::run_log::projector;
use crate::worker::{Switches, Worker};

mod faults;
mod fleet;
mod idle;
mod outcomes;
mod runtime;
mod worker;

pub use crate::broker::memory::{Fault, Operation};
pub use crate::processor::dead_letter::{Letter, LetterAbout};
pub use crate::witness::{Fired, Seen, What};
pub use runtime::{run, run_in_real_time};

/// An app that runs in this process, on a store of its own.
pub struct TestApp {
    app: App,
    /// What writes the task log into the app's stores.
    projector: ProcessorSpec,
    memory: Memory,
    handle: Handle,
    settings: Settings,
    names: Names,
    /// What was seen, each after so many steps of the store.
    seen: Arc<Mutex<Vec<(usize, Sight)>>>,
    workers: Vec<TestWorker>,
}

/// What may be asked for by its name: processors and jobs of all builds of the app that this test runs.
#[derive(Default)]
struct Names {
    processors: BTreeSet<String>,
    jobs: BTreeSet<String>,
}

impl Names {
    fn learn(&mut self, app: &App) {
        self.processors.extend(app.processors.iter().map(|processor| processor.name.clone()));
        self.jobs.extend(app.jobs.iter().map(|job| job.name.clone()));
    }
}

/// Of what was never there nothing is seen: a misspelt name would pass for a good sign.
#[track_caller]
fn assert_known(kind: &str, name: &str, known: &BTreeSet<String>) {
    let near = || did_you_mean(name, known.iter().map(String::as_str));
    assert!(known.contains(name), "the app has no {kind} `{name}`{}", near());
}

/// One worker of a [`TestApp`].
pub struct TestWorker {
    name: String,
    link: MemoryBroker,
    gate: Gate,
    switches: Switches,
    running: Tasks<Result<(), Failure>>,
}

/// An event and where it lies.
pub type At = (Partition, EventId);

/// One line of a [`TestApp`]'s story.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// A worker did something with an event.
    Seen(Seen),
    /// A worker started a job (no outcome yet), or the run was over.
    Fired(Fired),
    /// The store changed.
    Step(Step),
}

impl From<Sight> for Moment {
    fn from(sight: Sight) -> Self {
        match sight {
            Sight::Seen(seen) => Self::Seen(seen),
            Sight::Fired(fired) => Self::Fired(fired),
        }
    }
}

/// What a function under test does while its work takes time.
pub async fn takes(time: Duration) {
    clock::sleep(time).await;
}

impl TestApp {
    /// Runs the app with one worker.
    ///
    /// # Panics
    /// With the sentence a worker would end with, when the app or its settings cannot work.
    pub async fn start(app: App) -> Self {
        let mut test = Self::without_workers(app).await;
        test.add_worker("worker-1").await;
        test
    }

    /// The app with its store, and nobody to process anything yet.
    pub async fn without_workers(app: App) -> Self {
        Self::on(app, Memory::new())
    }

    fn on(mut app: App, memory: Memory) -> Self {
        app.run_logs.keep_in_memory();
        memory.record_history(true);
        let loaded = app.settings(&Overrides::new()).unwrap_or_else(|problem| panic!("{problem}"));
        let settings = loaded.settings;
        let broker: Arc<dyn Broker> = Arc::new(memory.connect());
        let handle =
            Handle::new(app.name().to_owned(), broker, settings.clone()).unwrap_or_else(|problem| panic!("{problem}"));
        app.bind(handle.clone());
        let projector = projector(Stores::memory(), &settings);
        let mut names = Names::default();
        names.learn(&app);
        Self { app, projector, memory, handle, settings, names, seen: Arc::default(), workers: Vec::new() }
    }

    /// Starts one more worker.
    pub async fn add_worker(&mut self, name: &str) -> &TestWorker {
        self.add_worker_of(name, self.app.clone()).await
    }

    /// Starts one more worker that runs another build of the app: a new version, in the middle of a deploy.
    ///
    /// # Panics
    /// As [`TestApp::start`].
    pub async fn add_worker_of(&mut self, name: &str, mut app: App) -> &TestWorker {
        app.run_logs = self.app.run_logs.clone();
        app.bind(self.handle.clone());
        self.names.learn(&app);
        let problem = crate::worker::check(&app, &self.settings).err();
        assert!(problem.is_none(), "{}", problem.expect("it was there the line before"));
        let link = self.memory.connect();
        let handle = Handle::new(app.name().to_owned(), Arc::new(link.clone()), self.settings.clone());
        let handle = handle.unwrap_or_else(|problem| panic!("{problem}"));
        let gate = Gate::closable();
        let (seen, memory) = (self.seen.clone(), self.memory.clone());
        let witness = Witness::new(move |what| {
            let steps = memory.steps_recorded();
            seen.lock().expect("no code panics while it holds this lock").push((steps, what));
        });
        let worker = Worker::new(app, handle).behind(gate.clone()).named(name).watched(witness);
        let switches = Switches::default();
        let mut running = Tasks::behind(&gate);
        running.start(worker.run(switches.clone()));
        self.workers.push(TestWorker { name: name.to_owned(), link, gate, switches, running });
        self.workers.last().expect("it was pushed the line before")
    }

    /// The app, to ask for its task log and its runs. They are kept in memory, unless the app brings stores of its own.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The store, to look into or to break.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The workers that were added and not crashed or drained, in that order; also those that have ended by themselves.
    pub fn workers(&self) -> &[TestWorker] {
        &self.workers
    }

    /// A worker by its name.
    ///
    /// # Panics
    /// If there is none: it was never added, or has crashed or been drained.
    pub fn worker(&mut self, name: &str) -> &mut TestWorker {
        let found = self.workers.iter_mut().find(|worker| worker.name == name);
        found.unwrap_or_else(|| panic!("there is no worker `{name}` in this test"))
    }

    /// Removes a worker as a crash would: nothing is finished, committed or released.
    pub fn crash(&mut self, name: &str) {
        self.workers.retain(|worker| worker.name != name);
    }

    /// Sends a record.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub async fn send<R: Record>(&self, stream: &Stream<R>, record: R) -> EventId {
        let sent = Bound::new(stream, self.handle.clone()).send(record).await;
        sent.unwrap_or_else(|failure| panic!("{}", crate::error::chain(&failure)))
    }

    /// Sends records, in order.
    ///
    /// # Panics
    /// If they cannot be sent.
    pub async fn send_all<R: Record>(&self, stream: &Stream<R>, records: impl IntoIterator<Item = R>) -> Vec<EventId> {
        let sent = Bound::new(stream, self.handle.clone()).send_all(records).await;
        sent.unwrap_or_else(|failure| panic!("{}", crate::error::chain(&failure)))
    }

    /// Runs code with this app as the one that is meant: `ORDERS.send(..)` reaches it.
    pub async fn within<F: Future>(&self, future: F) -> F::Output {
        current::within(self.handle.clone(), future).await
    }

    /// Lets time pass.
    pub async fn advance(&self, time: Duration) {
        clock::sleep(time).await;
    }

    async fn survey(&self, stream: &StreamSpec) -> Vec<PartitionSurvey> {
        let broker = self.handle.broker();
        let facts = match broker.stream(stream.declared_name()).await {
            Ok(Some(facts)) if stream.holds_letters => facts.dead_letters(),
            Ok(Some(facts)) => facts,
            _ => return Vec::new(),
        };
        broker.survey(&Arc::new(facts)).await.unwrap_or_default()
    }

    /// Everything that was seen so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no code panics while it holds this lock");
        let events = seen.iter().filter_map(|(_, sight)| match sight {
            Sight::Seen(seen) => Some(seen.clone()),
            Sight::Fired(_) => None,
        });
        events.collect()
    }

    /// Everything that was seen and every change of the store so far, in the order in which it happened.
    pub fn timeline(&self) -> Vec<Moment> {
        let seen = self.seen.lock().expect("no code panics while it holds this lock").clone();
        let mut seen = seen.into_iter().peekable();
        let mut timeline = Vec::new();
        for (number, step) in self.memory.history().into_iter().enumerate() {
            while let Some((_, sight)) = seen.next_if(|(steps, _)| *steps <= number) {
                timeline.push(sight.into());
            }
            timeline.push(Moment::Step(step));
        }
        timeline.extend(seen.map(|(_, sight)| sight.into()));
        timeline
    }

    /// A partition as a processor's own: what hooks of [`Memory`] and [`Self::intervene`] are about.
    ///
    /// # Panics
    /// If the app has no such processor.
    pub async fn place(&self, processor: &str, partition: Partition) -> Place {
        let spec = self.spec(processor);
        let outlet = self.handle.outlet(&spec.stream).await.unwrap_or_else(|problem| panic!("{problem}"));
        let group = Group { stream: outlet.stream().clone(), processor: processor.into() };
        Place { group, partition }
    }

    /// Does what an operator does with `processor pause | resume | skip | reset`. Answers the position afterwards.
    ///
    /// # Panics
    /// If the store cannot be asked just now.
    pub async fn intervene(&self, processor: &str, partition: Partition, change: Intervention) -> EventId {
        let place = self.place(processor, partition).await;
        let done = self.handle.broker().intervene(&place, &change).await;
        done.unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn spec(&self, processor: &str) -> &ProcessorSpec {
        let found = self.app.processors.iter().chain([&self.projector]).find(|spec| spec.name == processor);
        found.unwrap_or_else(|| {
            let near = did_you_mean(processor, self.app.processors.iter().map(|spec| spec.name.as_str()));
            panic!("the app has no processor `{processor}`{near}")
        })
    }

    /// Drains all workers and answers how each ended.
    pub async fn drain(&mut self) -> Vec<Result<(), Failure>> {
        let mut ends = Vec::new();
        for worker in &mut self.workers {
            ends.push(worker.drain().await);
        }
        self.workers.clear();
        ends
    }
}
