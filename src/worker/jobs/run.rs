//! One run of a job: the only place where a job's function is called.
//!
//! Whatever the function does, a run ends in one of the ways of [`Ended`]: an error, a panic or a timeout is a value
//! here, never an end of the worker. [`Runs::before`] and [`Runs::after`] see every run with all that is known of it.
//!
//! It does not decide when something runs, nor what a failure means.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::broker::Term;
use crate::clock::{self, ServerClock, UnixMs};
use crate::error::{chain, panic_text};
use crate::job::{Inaction, JobParts, JobSpec};
use crate::processor::extract::States;
use crate::runs::ids::RunIds;
use crate::runs::output::{Keeping, end_of};
use crate::runs::recorder::{Beginning, End, Journal, Page, Recorder, Refused};
use crate::runs::{Cut, Done, Ended, Input, Observers, RunContext, RunFacts, Work, WorkFacts};
use crate::stream::current::{self, Handle};
use crate::witness::{Fired, Witness};
use crate::worker::leader::Leadership;

/// Where runs happen: what all of them share.
#[derive(Clone)]
pub(crate) struct Runs {
    pub(crate) handle: Handle,
    pub(crate) states: Arc<States>,
    pub(crate) worker: Arc<str>,
    pub(crate) witness: Witness,
    pub(crate) clock: ServerClock,
    pub(crate) leadership: Leadership,
    pub(crate) times: JobTimes,
    pub(crate) recorder: Recorder,
    /// Where output goes, if it is kept.
    pub(crate) keeping: Option<Keeping>,
    pub(crate) run_ids: RunIds,
    /// Whether branches of a step may be written down at once.
    pub(crate) parallel: bool,
    /// Why the worker must end, as a sentence.
    pub(crate) halts: mpsc::UnboundedSender<String>,
    /// Cancelled: what runs has the grace period to finish.
    pub(crate) drain: CancellationToken,
    /// Cancelled: what runs is dropped.
    pub(crate) abort: CancellationToken,
}

/// What only this worker can say of its jobs, by the server's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobTimes(Arc<Mutex<Times>>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// When each job was last started here.
    pub(crate) started: BTreeMap<String, UnixMs>,
    /// Where the grid of each timer begins that every worker has for itself.
    pub(crate) grids: BTreeMap<String, UnixMs>,
}

impl JobTimes {
    fn started(&self, job: &str, at: UnixMs) {
        let mut times = self.0.lock().expect("no code panics while it holds this lock");
        match times.started.get_mut(job) {
            Some(last) => *last = at,
            None => drop(times.started.insert(job.to_owned(), at)),
        }
    }

    pub(super) fn grid_begins(&self, job: &str, at: UnixMs) {
        let mut times = self.0.lock().expect("no code panics while it holds this lock");
        times.grids.insert(job.to_owned(), at);
    }

    pub(crate) fn all(&self) -> Times {
        self.0.lock().expect("no code panics while it holds this lock").clone()
    }
}

/// What a run is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion {
    /// The instant it was meant for.
    pub(crate) instant: Option<UnixMs>,
    /// The term under which it runs for the fleet.
    pub(crate) term: Option<Term>,
    /// Which try this is.
    pub(crate) attempt: u32,
}

impl Occasion {
    /// Here and now, for this worker alone.
    pub(crate) const HERE: Self = Self { instant: None, term: None, attempt: 1 };

    pub(crate) fn at(instant: UnixMs, term: Option<Term>) -> Self {
        Self { instant: Some(instant), term, attempt: 1 }
    }
}

/// A run that is over, with all that is known of it.
pub(crate) struct Finished<'a> {
    pub(crate) run: &'a RunContext,
    pub(crate) ended: &'a Ended,
    /// By our own clock, which never goes back.
    pub(crate) took: Duration,
}

impl Runs {
    /// Runs a job once.
    pub(crate) async fn run(&self, job: &JobSpec, occasion: Occasion) -> Ended {
        let mut run = self.facts(job, occasion);
        let work = match Journal::begin(&self.recorder, Beginning::of(&run)).await {
            Ok(page) => self.work(page, run.attempt),
            Err(refused) => return self.not_started(&run, refused),
        };
        run.work = Some(work.clone());
        run.output = self.keeping.as_ref().map(|kept| kept.begin(&run.run_id, &run.task_name, run.attempt));
        let run = RunContext::new(run);
        let span = match &run.0.output {
            Some(output) => output.span(),
            None => tracing::error_span!(target: "runnel::run", "run",
                run_id = %run.run_id(), task_name = run.task_name(), attempt = run.attempt()),
        };
        let whole = async {
            self.before(&run).await;
            let began = clock::now();
            let ended = self.guarded(job, &run).await;
            self.after(Finished { run: &run, ended: &ended, took: clock::now().since(began) }).await;
            work.end_open_steps(ended.action().status(), &ended.to_string()).await;
            ended
        };
        let ended = whole.instrument(span).await;
        if let Err(refused) = work.facts.page.end(End::of(&ended)).await {
            self.halt(refused);
        }
        // After the task log: who follows the output to its end then finds how the run ended.
        if let Some(output) = &run.0.output {
            match output.seal(end_of(&ended)).await {
                // Worth an event of its own only where a command has said something.
                Ok(metadata) if metadata.exit_code.is_some() => work.note_output(metadata).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(run_id = %run.run_id(), error = %chain(&error), "the output of a run was not kept to its end");
                }
            }
        }
        ended
    }

    /// What a run does, step by step.
    fn work(&self, page: Box<dyn Page>, attempt: u32) -> Arc<Work> {
        let facts = WorkFacts {
            page,
            clock: self.clock.clone(),
            input: Input::default(),
            folder: None,
            parallel: self.parallel,
            observers: Observers::default(),
        };
        let work = Work::new(facts, Done::default());
        work.begin_attempt(attempt);
        Arc::new(work)
    }

    fn facts(&self, job: &JobSpec, occasion: Occasion) -> RunFacts {
        RunFacts {
            handle: self.handle.clone(),
            run_id: self.run_ids.of(&job.name, &serde_json::Value::Null),
            task_name: job.name.as_str().into(),
            kind: job.when.kind(),
            partition: None,
            worker: self.worker.clone(),
            instant: occasion.instant,
            term: occasion.term.map(|term| term.0),
            attempt: occasion.attempt,
            started: self.clock.now(),
            is_ours: Arc::new(AtomicBool::new(true)),
            output: None,
            work: None,
            branch: None,
        }
    }

    /// A run that cannot be written down: the policy of the task log does not let it start.
    fn not_started(&self, run: &RunFacts, refused: Refused) -> Ended {
        let why = refused.why.clone();
        tracing::error!(kind = %run.kind, job = %run.task_name, %why, "the run was not started");
        self.halt(refused);
        Ended::NotStarted(why)
    }

    fn halt(&self, refused: Refused) {
        if refused.halts {
            // It only fails when the worker has ended.
            let _ = self.halts.send(format!("{}: task_log_policy is `halt`", refused.why));
        }
    }

    /// A run is about to start.
    async fn before(&self, run: &RunContext) {
        self.times.started(run.task_name(), run.0.started);
        tracing::debug!(kind = %run.kind(), instant = ?run.instant(), term = run.term(), "a run starts");
        self.witness.fired(|| Fired::of(run, None));
    }

    /// A run is over.
    async fn after(&self, finished: Finished<'_>) {
        let Finished { run, ended, took } = finished;
        match ended {
            Ended::Success => tracing::debug!(?took, "the run ended well"),
            Ended::Inaction(reason) => tracing::info!(?took, %reason, "the run found nothing to do"),
            ended if ended.is_failure() => {
                tracing::error!(?took, kind = %run.kind(), job = run.task_name(), error = %ended, "the run failed")
            }
            cut => {
                tracing::warn!(?took, kind = %run.kind(), job = run.task_name(), why = %cut, "the run was cut short")
            }
        }
        self.witness.fired(|| Fired::of(run, Some(ended.clone())));
    }

    /// Runs the user's code behind a wall: a panic does not come through, also not from what is dropped in the middle.
    async fn guarded(&self, job: &JobSpec, run: &RunContext) -> Ended {
        let within = current::within(self.handle.clone(), self.raced(job, run));
        match AssertUnwindSafe(within).catch_unwind().await {
            Ok(ended) => ended,
            Err(panic) => Ended::Failed(format!("the {} panicked: {}", run.kind(), panic_text(&*panic))),
        }
    }

    async fn raced(&self, job: &JobSpec, run: &RunContext) -> Ended {
        // Writing down that it starts may have taken longer than the term.
        if run.term().is_some_and(|term| !self.leadership.may_start(Term(term))) {
            return Ended::Terminated(Cut::Deposed);
        }
        let future = match job.call.call(&JobParts { run, states: &self.states }) {
            Ok(future) => future,
            Err(error) => return failed(&error),
        };
        // Dropping the user's future is what cutting short means. What has ended by itself is never called cut short.
        tokio::select! {
            biased;
            outcome = future => match outcome {
                Ok(()) => Ended::Success,
                Err(error) => failed(&error),
            },
            cut = self.cut_short(job.timeout, run) => Ended::Terminated(cut),
        }
    }

    /// Waits until the run has no time left.
    async fn cut_short(&self, timeout: Option<Duration>, run: &RunContext) -> Cut {
        let drained = async {
            self.drain.cancelled().await;
            clock::sleep(self.handle.settings().default_grace_period).await;
        };
        let timed_out = async {
            match timeout {
                Some(limit) => {
                    clock::sleep(limit).await;
                    limit
                }
                None => std::future::pending().await,
            }
        };
        let deposed = async {
            match run.term() {
                Some(term) => self.leadership.ends(Term(term), &run.0.is_ours).await,
                None => std::future::pending().await,
            }
        };
        // All are safe to drop: they only wait.
        tokio::select! {
            limit = timed_out => Cut::TimedOut(limit),
            () = deposed => Cut::Deposed,
            () = drained => Cut::Drained,
            () = self.abort.cancelled() => Cut::Drained,
        }
    }
}

fn failed(error: &crate::Error) -> Ended {
    match Inaction::of(&**error) {
        Some(inaction) => Ended::Inaction(inaction.reason().to_owned()),
        None => Ended::Failed(chain(&**error)),
    }
}
