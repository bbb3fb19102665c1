//! Writes runs down: each activation has one `run` event and one end, whoever races for it.
//!
//! A worker has one [`Recorder`]. It promises that an end is sent only after everything before it was acknowledged,
//! that an end which could not be written is kept and sent again, and that a begin nobody answered is taken back. It does
//! not decide what a run's failure means: it only says, by the setting `task_log_policy`, whether a run that cannot be
//! written down may start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::broker::{BrokerError, NewEntry, OpenRun, StreamRef};
use crate::clock::{self, Instant, ServerClock};
use crate::error::{Doing, Failure};
use crate::settings::TaskLogPolicy;
use crate::stream::Bound;
use crate::stream::current::Handle;

use super::tasks::TASKS;
use super::{Action, Ended, EventHead, RunEvent, RunFacts, RunId, TaskKind, TaskLogEvent};

mod alive;
mod author;
mod begin;
mod crash;
mod direct;
mod journal;
mod open;
mod process;
mod spool;
mod tenancy;

pub(crate) use alive::{Alive, Announcing};
pub(crate) use crash::CrashWatch;
pub(crate) use direct::Direct;
pub(crate) use journal::{Journal, Noted, Page};
pub(crate) use tenancy::TenancyRecord;

use author::Author;
use begin::Written;
use open::OpenEntry;
use spool::{Ending, Spool};

/// How often an event is tried before the policy decides.
const TRIES: u32 = 3;
/// Between the first two tries; four times that before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Writes the runs of one worker down.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Shared>);

struct Shared {
    handle: Handle,
    author: Author,
    policy: TaskLogPolicy,
    spool: mpsc::UnboundedSender<Ending>,
    tenancies: mpsc::UnboundedSender<tenancy::Work>,
    /// Where the output of this worker's runs is served.
    log_url: OnceLock<String>,
    /// How well this worker is heard of, if it says that it is alive.
    alive: OnceLock<Alive>,
    /// Ends of each task that are not written yet.
    unwritten: Mutex<BTreeMap<Arc<str>, usize>>,
}

/// A run that is to begin.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) run_id: RunId,
    pub(crate) task_name: Arc<str>,
    pub(crate) kind: TaskKind,
    pub(crate) partition: Option<u32>,
    /// From 1; one more each time a run is resumed.
    pub(crate) activation: u32,
    pub(crate) attempt: u32,
    /// Said of it in the log: the instant it is for, the term it runs in.
    pub(crate) extra: BTreeMap<String, serde_json::Value>,
}

impl Beginning {
    /// Of the first activation of a run.
    pub(crate) fn of(facts: &RunFacts) -> Self {
        let instant = facts.instant.map(|instant| ("instant".to_owned(), instant.into()));
        let term = facts.term.map(|term| ("term".to_owned(), term.into()));
        Self {
            run_id: facts.run_id.clone(),
            task_name: facts.task_name.clone(),
            kind: facts.kind,
            partition: facts.partition,
            activation: 1,
            attempt: facts.attempt,
            extra: instant.into_iter().chain(term).collect(),
        }
    }
}

/// Why a run may not start.
#[derive(Debug)]
pub(crate) struct Refused {
    /// For people.
    pub(crate) why: String,
    /// The worker is to drain, by policy.
    pub(crate) halts: bool,
    /// Somebody else runs it: nothing is wrong with the task log.
    pub(crate) is_taken: bool,
}

impl Refused {
    /// Because it cannot be written down.
    pub(crate) fn unwritten(why: String, halts: bool) -> Self {
        Self { why, halts, is_taken: false }
    }

    /// Because that run runs already.
    pub(crate) fn taken(run_id: &RunId) -> Self {
        Self { why: format!("run {run_id} is running already"), halts: false, is_taken: true }
    }

    /// Because somebody else has run it meanwhile, or it was found crashed.
    fn over(run_id: &RunId, activation: u32) -> Self {
        let why = "it was found crashed here, or has been run elsewhere";
        let why = format!("activation {activation} of run {run_id} is over already: {why}");
        Self { why, halts: false, is_taken: true }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) action: Action,
    pub(crate) message: String,
    /// The error and its causes.
    pub(crate) error: Option<String>,
}

impl End {
    /// Of a job's run.
    pub(crate) fn of(ended: &Ended) -> Self {
        let text = ended.to_string();
        let (message, error) = match ended {
            Ended::Failed(_) => (text.lines().next().unwrap_or_default().to_owned(), Some(text)),
            Ended::Success => (String::new(), None),
            _ => (text, None),
        };
        Self { action: ended.action(), message, error }
    }
}

/// A run that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    run: TaskLogEvent,
    /// None if the run is not written down.
    open: Option<OpenRun>,
    began: Instant,
}

impl Recorder {
    /// A recorder, and what must be run beside it: it ends when all recorders are dropped and everything is written.
    pub(crate) fn new(
        handle: Handle,
        clock: ServerClock,
        worker: Arc<str>,
        policy: TaskLogPolicy,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (spool, endings) = mpsc::unbounded_channel();
        let (tenancies, opened) = mpsc::unbounded_channel();
        let shared = Shared {
            handle,
            author: Author::new(clock, worker),
            policy,
            spool,
            tenancies,
            log_url: OnceLock::new(),
            alive: OnceLock::new(),
            unwritten: Mutex::default(),
        };
        let recorder = Self(Arc::new(shared));
        // Both hold the recorder weakly: it is its other owners that keep them running.
        let desk = tenancy::desk(Arc::downgrade(&recorder.0), opened);
        let spool = Spool::new(Arc::downgrade(&recorder.0), endings).run();
        (recorder, async move {
            futures::join!(desk, spool);
        })
    }

    pub(crate) fn clock(&self) -> &ServerClock {
        &self.0.author.clock
    }

    /// Says with each run that begins where its output is served. The first word holds.
    pub(crate) fn found_at(&self, url: Option<&str>) {
        url.map(|url| self.0.log_url.set(url.to_owned()));
    }

    /// This is how well it is heard of.
    pub(crate) fn heard(&self, alive: Alive) {
        // It only fails if it was said before.
        let _ = self.0.alive.set(alive);
    }

    /// A run begins, if it can be written down or need not be.
    pub(crate) async fn begin(&self, beginning: Beginning) -> Result<Recording, Refused> {
        let (began, started) = (clock::now(), self.0.author.time());
        let mut event = self.0.author.begin(&beginning, started);
        let log_url = self.0.log_url.get().map(|url| (TaskLogEvent::LOG_URL.to_owned(), url.as_str().into()));
        event.extra.extend(log_url);
        if self.0.policy == TaskLogPolicy::Off {
            return Ok(Recording { run: event, open: None, began });
        }
        let policy = self.0.policy;
        if policy == TaskLogPolicy::Quarantine && self.0.waits_to_write(&beginning.task_name) {
            let why = format!("the end of an earlier run of `{}` is not in the task log yet", beginning.task_name);
            return Err(Refused::unwritten(why, false));
        }
        let entry = OpenEntry {
            worker: self.0.author.worker.to_string(),
            activation: beginning.activation,
            task_name: beginning.task_name.to_string(),
            kind: beginning.kind,
            partition: beginning.partition,
            start: started,
            process: self.0.author.process.clone(),
        };
        let open = entry.open(&beginning.run_id);
        match self.0.write_begin(&open, &event).await {
            Ok(Written::Begun) => Ok(Recording { run: event, open: Some(open), began }),
            // Under every policy: what runs, or has run, must not run twice, recorded or not.
            Ok(Written::Taken) => Err(Refused::taken(&beginning.run_id)),
            Ok(Written::Over) => Err(Refused::over(&beginning.run_id, beginning.activation)),
            Err(failure) => {
                let why = format!(
                    "the begin of a run of `{}` cannot be written to the task log: {}",
                    beginning.task_name,
                    crate::error::chain(&failure)
                );
                match policy {
                    TaskLogPolicy::Ignore => {
                        tracing::warn!(task_name = %beginning.task_name, run_id = %beginning.run_id, "{why}; it runs unrecorded (task_log_policy = ignore)");
                        Ok(Recording { run: event, open: None, began })
                    }
                    _ => Err(Refused::unwritten(why, policy == TaskLogPolicy::Halt)),
                }
            }
        }
    }

    /// A run has ended. Err: the end could not be written, and the policy wants the worker to drain.
    pub(crate) async fn end(&self, recording: Recording, end: End) -> Result<(), Refused> {
        let Some(ending) = self.0.ending(recording, end) else { return Ok(()) };
        match self.0.write_end_patiently(&ending).await {
            Ok(()) => Ok(()),
            Err(failure) => {
                let why = format!(
                    "the end of run {} of `{}` cannot be written to the task log: {}",
                    ending.event.run_id,
                    ending.event.task_name,
                    crate::error::chain(&failure)
                );
                let halts = self.0.policy == TaskLogPolicy::Halt;
                if !halts {
                    tracing::warn!("{why}; it is kept, and sent again until it is");
                }
                self.0.keep(ending);
                if halts { Err(Refused::unwritten(why, halts)) } else { Ok(()) }
            }
        }
    }

    /// Writes something that belongs to a run's document: a step, an attempt, parameters. Not for begin and end.
    pub(crate) async fn note(
        &self,
        recording: &Recording,
        event: impl FnOnce(EventHead) -> RunEvent,
    ) -> Result<(), Failure> {
        if recording.open.is_none() {
            return Ok(());
        }
        let head = self.0.author.head(&recording.run);
        Bound::new(&TASKS, self.0.handle.clone()).send(event(head)).await.map(drop)
    }

    /// A run has ended with the future that it was: its end is written beside whatever goes on.
    pub(crate) fn cut(&self, recording: Recording, end: End) {
        // It only fails when the worker is being dropped; then the crash watch writes the end.
        let _ = self.0.tenancies.send(tenancy::Work::Cut(Box::new(recording), end));
    }

    /// Writes the whole of a tenancy down, beside the work: it holds nothing up.
    pub(crate) fn tenancy(&self, beginning: Beginning) -> TenancyRecord {
        TenancyRecord::open(&self.0.tenancies, beginning)
    }
}

impl Shared {
    fn ending(&self, recording: Recording, end: End) -> Option<Ending> {
        let Recording { run, open, began, .. } = recording;
        let event = self.author.end(run, clock::now().since(began), end);
        Some(Ending { open: open?, event, has_begun: true })
    }

    /// The entry of an event, and where it goes.
    async fn entry(&self, event: &TaskLogEvent) -> Result<(StreamRef, NewEntry), Failure> {
        let bound = Bound::new(&TASKS, self.handle.clone());
        bound.entry(RunEvent::Task(event.clone())).await
    }

    async fn write_end_patiently(&self, ending: &Ending) -> Result<(), Failure> {
        let mut tries = Tries::default();
        loop {
            match self.write_end(ending, tries.made > 0).await {
                Ok(()) => return Ok(()),
                Err(failure) => tries.after(failure).await?,
            }
        }
    }

    async fn write_end(&self, ending: &Ending, asked_before: bool) -> Result<(), Failure> {
        let (stream, entry) = self.entry(&ending.event).await?;
        let written = self.handle.broker().end_run(&stream, entry.partition, &ending.open, &entry.fields).await;
        let written = written.doing(|| "log the end of a run".to_owned())?;
        // An answer that was lost may have been a yes.
        if !written && !asked_before {
            tracing::warn!(task_name = %ending.event.task_name, run_id = %ending.event.run_id, action = %ending.event.action,
                "late-terminal-event: this run was found crashed, or resumed elsewhere, before it ended here");
        }
        Ok(())
    }

    fn keep(&self, ending: Ending) {
        let mut unwritten = self.unwritten.lock().expect("no code panics while it holds this lock");
        *unwritten.entry(ending.event.task_name.as_str().into()).or_default() += 1;
        // It only fails when the worker is being dropped; then the crash watch writes the end.
        let _ = self.spool.send(ending);
    }

    fn waits_to_write(&self, task_name: &str) -> bool {
        self.unwritten.lock().expect("no code panics while it holds this lock").contains_key(task_name)
    }

    fn written(&self, task_name: &str) {
        let mut unwritten = self.unwritten.lock().expect("no code panics while it holds this lock");
        if let Some(count) = unwritten.get_mut(task_name) {
            *count -= 1;
            if *count == 0 {
                unwritten.remove(task_name);
            }
        }
    }
}

/// The tries of one step. Everything here may be sent again.
#[derive(Default)]
struct Tries {
    made: u32,
}

impl Tries {
    /// Waits before the next try; gives the failure back if there is none.
    async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        self.made += 1;
        if self.made >= TRIES || !helps_to_wait(&failure) {
            return Err(failure);
        }
        clock::sleep(FIRST_PAUSE * 4u32.pow(self.made - 1)).await;
        Ok(())
    }
}

fn helps_to_wait(failure: &Failure) -> bool {
    match failure {
        Failure::Broker { source, .. } => source.is_transient() || matches!(source, BrokerError::NotDurable { .. }),
        Failure::Full(_) => true,
        _ => false,
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
