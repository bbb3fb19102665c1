//! One worker: start, run, drain.
//!
//! Everything it starts ends with it: dropping the future of [`Worker::run`] leaves nothing behind but leases, which
//! lapse. A halted partition drains it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::broker::Group;
use crate::clock;
use crate::error::{Doing, Failure};
use crate::executor::{Appetite, Executor, Halt, Surroundings};
use crate::processor::{Manner, ProcessorSpec};
use crate::stream::current::{self, Handle};
use crate::tasks::{Gate, Tasks};
use crate::witness::Witness;

mod check;
mod embed;
pub(crate) mod serve;
mod shutdown;

pub(crate) use check::check;
pub use embed::Connected;

/// How long a store that does not answer may hold up the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// A worker that can be run.
pub(crate) struct Worker {
    app: App,
    handle: Handle,
    name: Arc<str>,
    gate: Gate,
    witness: Witness,
    /// Only these processors, if given.
    only: Option<Vec<String>>,
}

/// The two switches that end a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switches {
    /// Take nothing new; finish, commit, release, leave.
    pub(crate) drain: CancellationToken,
    /// Drop what runs.
    pub(crate) abort: CancellationToken,
}

impl Worker {
    pub(crate) fn new(app: App, handle: Handle) -> Self {
        Self { app, handle, name: worker_name(), gate: Gate::default(), witness: Witness::default(), only: None }
    }

    /// Runs only these processors.
    pub(crate) fn only(mut self, processors: Option<Vec<String>>) -> Self {
        self.only = processors;
        self
    }

    /// Runs behind a gate that can stop it in the middle of anything.
    #[cfg(feature = "testing")]
    pub(crate) fn behind(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Watched by this witness.
    #[cfg(feature = "testing")]
    pub(crate) fn watched(mut self, witness: Witness) -> Self {
        self.witness = witness;
        self
    }

    /// Under this name.
    #[cfg(feature = "testing")]
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Runs until it is drained, or a partition is halted.
    pub(crate) async fn run(self, switches: Switches) -> Result<(), Failure> {
        let handle = self.handle.clone();
        current::within(handle, self.run_here(switches)).await
    }

    async fn run_here(self, switches: Switches) -> Result<(), Failure> {
        let settings = self.handle.settings();
        check(&self.app, settings)?;
        let processors = self.chosen()?;
        let states = Arc::new(self.app.make_states().await?);
        let (reports, mut halts) = mpsc::unbounded_channel();
        let around = Surroundings {
            handle: self.handle.clone(),
            states,
            worker: self.name.clone(),
            appetite: Arc::new(Appetite::new(settings.prefetch_bytes)),
            suspects: Arc::new(Semaphore::new(1)),
            gate: self.gate.clone(),
            witness: self.witness.clone(),
            reports,
            drain: switches.drain.clone(),
            abort: switches.abort.clone(),
        };
        // All are declared before any is run: what one trims must wait for the others' registration.
        let mut executors = Vec::new();
        for stream in &self.app.streams {
            self.handle.outlet(stream).await?;
        }
        for spec in processors {
            executors.push(self.prepare(spec, &around).await?);
        }
        tracing::info!(worker = %self.name, app = self.app.name(), processors = executors.len(), "the worker starts");
        let mut tasks = Tasks::behind(&self.gate);
        executors.into_iter().for_each(|executor| _ = tasks.start(executor.run()));
        let mut announcing = Tasks::behind(&self.gate);
        announcing.start(announce(self.handle.clone(), self.name.clone(), self.about()));

        let mut beside = Tasks::behind(&self.gate);
        for make in &self.app.beside {
            beside.start(company(make(), self.handle.clone()));
        }

        let mut halted: Option<Halt> = None;
        let mut defect = None;
        while !tasks.is_empty() {
            // Both are safe to drop: neither loses what it waits for.
            tokio::select! {
                Some(ended) = tasks.next() => if let Err(error) = ended {
                    tracing::error!(worker = %self.name, %error, "an executor panicked: draining the others");
                    defect = defect.or_else(|| error.try_into_panic().ok());
                    switches.drain.cancel();
                },
                Some(halt) = halts.recv() => {
                    halted.get_or_insert(halt);
                    switches.drain.cancel();
                }
            }
        }
        halted = halted.or_else(|| halts.try_recv().ok());
        drop((announcing, beside));
        // Safe to drop: who is not told will notice.
        tokio::select! {
            _ = self.handle.broker().depart(&self.name) => {}
            () = clock::sleep(GOODBYE) => {}
        }
        tracing::info!(worker = %self.name, "the worker has drained");
        if let Some(panic) = defect {
            std::panic::resume_unwind(panic);
        }
        halted.map_or(Ok(()), |halt| Err(Failure::Halted(sentence(&halt))))
    }

    /// The processors to run.
    fn chosen(&self) -> Result<Vec<Arc<ProcessorSpec>>, Failure> {
        let all = || self.app.processors.iter();
        // What is wrapped around all is outside of what each has of its own.
        let wrapped = |spec: &ProcessorSpec| {
            let middleware = self.app.middleware.around(&spec.middleware);
            Arc::new(ProcessorSpec { middleware, ..spec.clone() })
        };
        let Some(only) = &self.only else { return Ok(all().map(wrapped).collect()) };
        only.iter()
            .map(|name| {
                let found = all().find(|spec| spec.name == *name).map(wrapped);
                found.ok_or_else(|| {
                    let names = all().map(|spec| spec.name.as_str());
                    Failure::NotFound(format!(
                        "app `{}` has no processor `{name}`{}",
                        self.app.name(),
                        crate::nearest::did_you_mean(name, names)
                    ))
                })
            })
            .collect()
    }

    async fn prepare(&self, spec: Arc<ProcessorSpec>, around: &Surroundings) -> Result<Executor, Failure> {
        let manner: Manner = spec.under(self.handle.settings());
        let outlet = self.handle.outlet(&spec.stream).await?;
        let group = Group { stream: outlet.stream().clone(), processor: spec.name.as_str().into() };
        let doing = || format!("register processor `{}` with stream `{}`", spec.name, spec.stream.name);
        self.handle.broker().register(&group).await.doing(doing)?;
        Ok(Executor::new(spec, manner, group, around.clone()))
    }

    /// What it says of itself on status pages.
    fn about(&self) -> String {
        let processors: Vec<_> = self.app.processors.iter().map(|spec| &spec.name).collect();
        serde_json::json!({
            "host": rustix::system::uname().nodename().to_string_lossy(),
            "pid": std::process::id(),
            "version": self.app.version,
            "runnel": env!("CARGO_PKG_VERSION"),
            "started": clock::wall(),
            "processors": processors,
        })
        .to_string()
    }
}

/// Says that this worker is alive, until it is dropped.
async fn announce(handle: Handle, worker: Arc<str>, about: String) {
    let ttl = handle.settings().default_lock_expiry;
    loop {
        if let Err(error) = handle.broker().announce(&worker, ttl, &about).await {
            tracing::debug!(%worker, %error, "could not announce the worker");
        }
        clock::sleep(ttl / 4).await;
    }
}

/// What the app wants beside its worker; its end is nobody's end but its own.
async fn company(future: futures::future::BoxFuture<'static, crate::Result>, handle: Handle) {
    if let Err(error) = current::within(handle, future).await {
        tracing::error!(error = %crate::error::chain(&*error), "what runs beside the worker has failed");
    }
}

/// Unlike every other worker's name, now and before: host, process and a bit of chance.
fn worker_name() -> Arc<str> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    format!("{}-{}-{:04x}", host, std::process::id(), fastrand::u16(..)).into()
}

fn sentence(halt: &Halt) -> String {
    format!(
        "processor `{}` has halted partition {} of stream `{}` at event {}: {}. The event stays in front of its partition. Repair \
         the cause and start a worker again, or move past it with `processor skip {}`",
        halt.processor, halt.partition, halt.stream, halt.mark.at, halt.mark.error, halt.processor
    )
}
