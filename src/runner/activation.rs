//! One activation of a run: it begins, is tried as often as its policy allows, and ends, once each.
//!
//! Whatever the job does, an activation ends in one of the ways of [`Ended`]: an error, a panic or a timeout is a value
//! here. Between attempts nothing of the run is open; being dropped in the middle is a crash, for others to find.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tracing::Instrument;

use super::attempt::{Tried, try_once};
use super::folder::Folder;
use super::{Begins, RunReport, Stage, trace};
use crate::clock;
use crate::error::chain;
use crate::event::EventId;
use crate::job::{JobSpec, Resolved};
use crate::runs::output::{Keeping, Resumed, RunOutput, end_of};
use crate::runs::recorder::{Alive, Beginning, End, Page, Refused};
use crate::runs::{
    Action, AttemptLog, Cut, Done, Ended, Input, RunContext, RunEvent, RunFacts, RunId, RunLog, Status, TaskKind, Work,
    WorkFacts, WorkerRef,
};

/// An activation that is to come.
pub(super) struct Activation<'a> {
    pub(super) stage: &'a Stage,
    pub(super) job: &'a JobSpec,
    pub(super) plan: &'a Resolved,
    run_id: RunId,
    input: Input,
    number: u32,
    first_attempt: u32,
    done: Done,
    /// Of a run that is resumed: the last that was known of it.
    seen: Option<EventId>,
    /// And who ran it before.
    last: Option<WorkerRef>,
    begins: Option<Begins>,
    output: Option<RunOutput>,
}

/// What ends an activation from outside.
type CutShort<'a> = Pin<Box<dyn Future<Output = Cut> + Send + 'a>>;

impl<'a> Activation<'a> {
    /// The first one of a new run.
    pub(super) fn new(stage: &'a Stage, job: &'a JobSpec, plan: &'a Resolved, run_id: RunId, input: Input) -> Self {
        Self {
            stage,
            job,
            plan,
            run_id,
            input,
            number: 1,
            first_attempt: 1,
            done: Done::new(),
            seen: None,
            last: None,
            begins: None,
            output: None,
        }
    }

    /// The next one of that run, with what was done before.
    pub(super) fn continuing(self, log: &RunLog, done: Done) -> Self {
        let tried = log.attempts.iter().map(|attempt| attempt.attempt_number).max().unwrap_or_default();
        let seen = Some(log.last_entry.unwrap_or(EventId::ZERO));
        let last = Some(log.worker.clone());
        Self { number: log.activation + 1, first_attempt: tried + 1, done, seen, last, ..self }
    }

    /// Tells somebody that it has begun, or why it has not.
    pub(super) fn telling(self, begins: Option<Begins>) -> Self {
        Self { begins, ..self }
    }

    /// From its begin to its end.
    pub(super) async fn run(mut self) -> RunReport {
        let began = clock::now();
        let mut report = RunReport::new(&self.run_id, &self.job.name, self.number);
        let begun = self.begin().await;
        let page = match begun {
            Ok(page) => page,
            Err(refused) => {
                tracing::error!(job = %self.job.name, why = %refused.why, "the run was not started");
                report.end(Ended::NotStarted(refused.why.clone()), clock::now().since(began));
                self.stage.halt(&refused);
                self.tell_begins(Err(refused));
                return report;
            }
        };
        self.tell_begins(Ok(()));
        self.output = self.stage.keeping.as_ref().map(|kept| self.output_in(kept));
        let span = match &self.output {
            Some(output) => output.span(),
            None => tracing::error_span!(target: "runnel::run", "run",
                run_id = %self.run_id, task_name = %self.job.name, attempt = self.first_attempt),
        };
        let ended = self.work_on(page, &mut report).instrument(span).await;
        report.end(ended, clock::now().since(began));
        report
    }

    fn output_in(&self, kept: &Keeping) -> RunOutput {
        let (run_id, job, attempt) = (&self.run_id, &self.job.name, self.first_attempt);
        match &self.last {
            None => kept.begin(run_id, job, attempt),
            Some(last) => kept.resume(run_id, job, attempt, Resumed { activation: self.number, last: last.clone() }),
        }
    }

    /// Writes its begin. What is resumed must be as it was seen: another activation of it may have begun *and ended*
    /// since. While ours is open nobody else's can be, so then it is certain.
    async fn begin(&self) -> Result<Box<dyn Page>, Refused> {
        let page = self.stage.journal.begin(self.beginning()).await?;
        let Some(seen) = self.seen else { return Ok(page) };
        let begun = self.stage.past().begins_since(&self.job.name, &self.run_id, self.number, seen).await;
        let refused = match begun {
            // None: it runs unrecorded.
            Ok(0 | 1) => return Ok(page),
            Ok(_) => Refused::taken(&self.run_id),
            Err(failure) => {
                let why = format!(
                    "whether run {} was resumed elsewhere cannot be found out: {}",
                    self.run_id,
                    chain(&failure)
                );
                Refused::unwritten(why, false)
            }
        };
        let end = End { action: Action::Terminate, message: format!("not started: {}", refused.why), error: None };
        page.end(end).await.inspect_err(|refused| self.stage.halt(refused))?;
        Err(refused)
    }

    fn tell_begins(&mut self, begun: Result<(), Refused>) {
        // Whoever asked may have gone.
        let _ = self.begins.take().map(|begins| begins.send(begun));
    }

    /// From where its begin is written to where its end is.
    async fn work_on(&mut self, page: Box<dyn Page>, report: &mut RunReport) -> Ended {
        let folder = Folder::of(&self.stage.work_dir, &self.job.name);
        let facts = WorkFacts {
            page,
            clock: self.stage.journal.clock().clone(),
            input: std::mem::take(&mut self.input),
            folder: Some(folder.path().to_owned()),
            parallel: self.stage.run_logs.as_ref().is_none_or(|store| store.supports_parallel_writes()),
            observers: self.stage.observers.clone(),
        };
        let work = Arc::new(Work::new(facts, std::mem::take(&mut self.done)));
        self.write_down_what_it_is(&work).await;
        // Safe to drop: what it tells is only for those who look on.
        let ended = tokio::select! {
            ended = self.attempts(&work, &folder, report) => ended,
            () = self.tell_progress(&work) => unreachable!("it never ends"),
        };
        let end = End::of(&ended);
        let scrubbed = |text: String| work.scrubbed(&text);
        let end = End { message: scrubbed(end.message), error: end.error.map(scrubbed), ..end };
        if let Err(refused) = work.facts.page.end(end).await {
            tracing::error!(job = %self.job.name, why = %refused.why, "the end of the run was not written");
            self.stage.halt(&refused);
        }
        // After the task log: who follows the output to its end then finds how the run ended.
        if let Some(output) = &self.output {
            match output.seal(end_of(&ended)).await {
                Ok(metadata) => work.note_output(metadata).await,
                Err(error) => {
                    tracing::warn!(run_id = %self.run_id, error = %chain(&error), "the output of a run was not kept to its end");
                }
            }
        }
        ended
    }

    fn beginning(&self) -> Beginning {
        Beginning {
            run_id: self.run_id.clone(),
            task_name: self.job.name.as_str().into(),
            kind: TaskKind::Job,
            partition: None,
            activation: self.number,
            attempt: self.first_attempt,
            extra: Default::default(),
        }
    }

    async fn write_down_what_it_is(&self, work: &Work) {
        let (run_config, tag) = (self.plan.run_config(), self.plan.tag.clone());
        let dag_hash = Some(trace::dag_hash(self.job, self.plan));
        let config = move |head| RunEvent::RunConfig { head, dag_hash, tag: Some(tag), run_config };
        work.note("the configuration", Box::new(config)).await;
        let parameters = work.facts.input.kept.clone();
        if !parameters.is_empty() {
            let given = move |head| RunEvent::Parameters { head, branch: None, parameters };
            work.note("the input", Box::new(given)).await;
        }
    }

    pub(super) fn context(&self, work: &Arc<Work>, attempt: u32) -> RunContext {
        RunContext::new(RunFacts {
            handle: self.stage.handle.clone(),
            run_id: self.run_id.clone(),
            task_name: self.job.name.as_str().into(),
            kind: TaskKind::Job,
            partition: None,
            worker: self.stage.worker.clone(),
            instant: None,
            term: None,
            attempt,
            started: self.stage.journal.clock().now(),
            is_ours: Arc::new(AtomicBool::new(true)),
            output: self.output.clone(),
            work: Some(work.clone()),
            branch: None,
        })
    }

    /// Has what is said from now on, and what is kept of it, name that attempt.
    fn is_at(&self, attempt: u32) {
        tracing::Span::current().record("attempt", attempt);
        if let Some(output) = &self.output {
            output.set_attempt(attempt);
        }
    }

    /// Tries until it is done, or must not be tried again.
    async fn attempts(&self, work: &Arc<Work>, folder: &Folder, report: &mut RunReport) -> Ended {
        let observers = &self.stage.observers;
        let mut cut = self.cut_short();
        let mut why = if self.number > 1 { "the run is resumed".to_owned() } else { String::new() };
        let mut nth = 1;
        let first = self.context(work, self.first_attempt);
        observers.tell("on_before", |observer| observer.on_before(&first)).await;
        loop {
            let number = self.first_attempt + nth - 1;
            self.is_at(number);
            let run = self.context(work, number);
            let Tried { ended, error, log } = try_once(self, work, &run, &why, &mut cut).await;
            report.attempts.push(log.clone());
            let wait = error
                .as_ref()
                .filter(|error| self.plan.is_worth_retrying(&***error))
                .and_then(|_| self.plan.retry.wait_after(nth, &log));
            let Some((wait, error)) = wait.zip(error) else {
                observers.tell("on_after", |observer| observer.on_after(&run, &log)).await;
                self.tell(work, &run, true).await;
                self.store_trace(work, &run, folder, &log).await;
                self.say_how_it_ended(&ended);
                return ended;
            };
            let last = self.plan.retry.is_last(nth + 1);
            observers.tell("on_retry", |observer| observer.on_retry(&run, &log, nth, last, &error)).await;
            self.store_trace(work, &run, folder, &log).await;
            tracing::warn!(job = %self.job.name, attempt = number, ?wait, error = %log.message, "the attempt failed; another one follows");
            why = format!("retry {nth}: {}", log.message);
            // Both are safe to drop: they only wait.
            tokio::select! {
                biased;
                cut = &mut cut => {
                    observers.tell("on_after", |observer| observer.on_after(&run, &log)).await;
                    return Ended::Terminated(cut);
                }
                () = clock::sleep(wait) => nth += 1,
            }
        }
    }

    fn say_how_it_ended(&self, ended: &Ended) {
        match ended {
            Ended::Success => tracing::debug!(job = %self.job.name, "the run ended well"),
            Ended::Inaction(reason) => tracing::info!(job = %self.job.name, %reason, "the run found nothing to do"),
            ended if ended.is_failure() => tracing::error!(job = %self.job.name, error = %ended, "the run failed"),
            cut => tracing::warn!(job = %self.job.name, why = %cut, "the run was cut short"),
        }
    }

    /// The trace of an attempt: into the run log, and where else it is wanted.
    async fn store_trace(&self, work: &Work, run: &RunContext, folder: &Folder, log: &AttemptLog) {
        let noted = Box::new(log.clone());
        work.note("the trace of an attempt", Box::new(|head| RunEvent::Attempt { head, step: None, log: noted })).await;
        self.stage.traces().store(self.job, self.plan, folder, run.run_id(), log).await;
    }

    async fn tell_progress(&self, work: &Arc<Work>) {
        let run = self.context(work, self.first_attempt);
        loop {
            clock::sleep(self.stage.log_period).await;
            self.tell(work, &run, false).await;
        }
    }

    async fn tell(&self, work: &Work, run: &RunContext, is_over: bool) {
        if let Some(progress) = work.news(run, is_over) {
            self.stage.observers.tell("on_log", |observer| observer.on_log(&progress)).await;
        }
    }

    /// Waits until the run has no time left.
    fn cut_short(&self) -> CutShort<'a> {
        let (stage, timeout) = (self.stage, self.job.timeout);
        let grace = stage.handle.settings().default_grace_period;
        Box::pin(async move {
            // All are safe to drop: they only wait.
            tokio::select! {
                limit = over(timeout) => Cut::TimedOut(limit),
                () = async { stage.drain.cancelled().await; clock::sleep(grace).await } => Cut::Drained,
                () = stage.abort.cancelled() => Cut::Drained,
                () = lapse(stage.alive.as_ref()) => Cut::Unheard,
            }
        })
    }
}

/// Waits until others may resume what runs here.
async fn lapse(alive: Option<&Alive>) {
    match alive {
        Some(alive) => alive.lapses().await,
        None => std::future::pending().await,
    }
}

async fn over(timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(limit) => {
            clock::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// How an attempt stands that ended like that.
pub(super) fn status_of(ended: &Ended) -> Status {
    ended.action().status()
}
