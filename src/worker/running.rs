//! A worker that runs: starts everything of it, and watches over it until all has ended.

use std::any::Any;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::error::Failure;
use crate::executor::{Halt, Surroundings};
use crate::runs::recorder::CrashWatch;
use crate::stream::current::{self, Handle};
use crate::tasks::Tasks;

use super::face::Face;
use super::ready::Ready;
use super::{GOODBYE, Worker, crash_watch, retention, traces};

/// The leader looks for crashed runs each time it has bid so often.
const SCAN_AFTER_POLLS: u32 = 4;

/// Everything of a worker that runs. Dropping it drops all of that.
pub(super) struct Running {
    face: Face,
    around: Surroundings,
    /// What the worker is there for: it ends with the last of these.
    tasks: Tasks,
    /// What looks after the fleet and this machine, and never ends by itself.
    watching: Tasks,
    beside: Tasks,
    announcing: Tasks,
    writes: Tasks,
    halts: mpsc::UnboundedReceiver<Halt>,
    halting_jobs: mpsc::UnboundedReceiver<String>,
}

/// How it came to its end.
#[derive(Default)]
pub(super) struct Over {
    /// A policy wanted it, for this reason.
    halted: Option<String>,
    /// A part of it panicked.
    defect: Option<Box<dyn Any + Send>>,
}

impl Over {
    /// Goes on with the panic, if there was one.
    pub(super) fn result(self) -> Result<(), Failure> {
        if let Some(panic) = self.defect {
            std::panic::resume_unwind(panic);
        }
        self.halted.map_or(Ok(()), |halt| Err(Failure::Halted(halt)))
    }
}

impl Worker {
    /// Starts everything. What can fail comes first: nothing runs where this is an error.
    pub(super) async fn start(&self, ready: Ready) -> Result<Running, Failure> {
        let settings = self.handle.settings();
        let Ready { mut face, around, executors, stores, server_clock, times, announcing, writes, .. } = ready;
        let Ready { halts, job_halts, halting_jobs, alive, .. } = ready;
        let (mut tasks, mut watching) = (Tasks::behind(&self.gate), Tasks::behind(&self.gate));
        if stores.is_some() {
            let stage = self.stage(&around, &alive, &job_halts).await?;
            face.retries(&self.app, stage, &self.gate).into_iter().for_each(|desk| _ = tasks.start(desk));
        }
        face.show(&self.app, self.handle.clone(), self.name.clone()).await?;

        let processors = executors.len() - usize::from(stores.is_some());
        tracing::info!(worker = %self.name, app = self.app.name(), processors, jobs = self.app.jobs.len(), "the worker starts");
        executors.into_iter().for_each(|executor| _ = tasks.start(executor.run()));
        let parallel = stores.as_ref().is_none_or(|stores| stores.run_logs.supports_parallel_writes());
        let jobs = self.jobs(&around, server_clock, times, job_halts, parallel);
        watching.start(traces::watch(self.app.clone(), settings.job_work_dir.as_str().into()));
        if let Some(stores) = stores {
            let every = settings.leadership_poll_interval * SCAN_AFTER_POLLS;
            let (watch, leadership) = (CrashWatch::new(around.recorder.clone()), &jobs.runs.leadership);
            watching.start(crash_watch::watch(watch, leadership.clone(), alive, every, around.keeping.clone()));
            watching.start(retention::watch(stores, jobs.runs.clock.clone(), leadership.clone()));
        }
        if let Some(keeping) = around.keeping.clone() {
            watching.start(keeping.tend(around.recorder.clock().clone()));
        }
        tasks.start(jobs.run());
        let mut beside = Tasks::behind(&self.gate);
        self.app.beside.iter().for_each(|make| _ = beside.start(company(make(), self.handle.clone())));
        Ok(Running { face, around, tasks, watching, beside, announcing, writes, halts, halting_jobs })
    }
}

impl Running {
    /// Waits until everything has ended, and has it drain where a policy or a defect demands it.
    pub(super) async fn until_over(&mut self, worker: &str, drain: &CancellationToken) -> Over {
        let mut over = Over::default();
        while !self.tasks.is_empty() {
            // All are safe to drop: none loses what it waits for.
            tokio::select! {
                Some(ended) = self.tasks.next() => over.ended(ended, worker, drain),
                Some(ended) = self.watching.next() => over.ended(ended, worker, drain),
                Some(halt) = self.halts.recv() => over.halts(sentence(&halt), drain),
                Some(halt) = self.halting_jobs.recv() => over.halts(halt, drain),
            }
        }
        let late = self.halts.try_recv().ok().map(|halt| sentence(&halt)).or_else(|| self.halting_jobs.try_recv().ok());
        over.halted = over.halted.or(late);
        over
    }

    /// Says the last words of a worker that is over, to whoever listens.
    pub(super) async fn end(self) {
        let Self { face, around, watching, beside, announcing, mut writes, .. } = self;
        let keeping = around.keeping.clone();
        drop((announcing, beside, watching, around));
        // The last events of runs: they are sent already, or kept because the store does not answer.
        tokio::select! {
            _ = writes.next() => {}
            () = clock::sleep(GOODBYE) => {}
        }
        if let Some(keeping) = keeping {
            keeping.flush(GOODBYE).await;
        }
        face.close().await;
    }
}

impl Over {
    fn ended(&mut self, ended: Result<(), tokio::task::JoinError>, worker: &str, drain: &CancellationToken) {
        if let Err(error) = ended {
            tracing::error!(%worker, %error, "a part of this worker panicked: draining the others");
            self.defect = self.defect.take().or_else(|| error.try_into_panic().ok());
            drain.cancel();
        }
    }

    fn halts(&mut self, why: String, drain: &CancellationToken) {
        self.halted.get_or_insert(why);
        drain.cancel();
    }
}

/// What the app wants beside its worker; its end is nobody's end but its own.
async fn company(future: futures::future::BoxFuture<'static, crate::Result>, handle: Handle) {
    if let Err(error) = current::within(handle, future).await {
        tracing::error!(error = %crate::error::chain(&*error), "what runs beside the worker has failed");
    }
}

fn sentence(halt: &Halt) -> String {
    format!(
        "processor `{}` has halted partition {} of stream `{}` at event {}: {}. The event stays in front of its partition. Repair \
         the cause and start a worker again, or move past it with `processor skip {}`",
        halt.processor, halt.partition, halt.stream, halt.mark.at, halt.mark.error, halt.processor
    )
}
