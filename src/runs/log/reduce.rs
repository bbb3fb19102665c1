//! How events make the document of a run.
//!
//! Events come in the order of their stream, but not only once: a projector that was interrupted begins again where it
//! last committed. And not only from whoever runs the task now: a worker that was taken for dead may still write. So an
//! event counts by its place in the stream, and by the activation it belongs to, never by when it was made.

use super::{JobLog, RunLog, WorkerRef, time};
use crate::event::EventId;
use crate::runs::{Action, RunEvent, Status, TaskKind, TaskLogEvent};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    /// It is in the document now.
    Changed,
    /// It was in the document already: it came again.
    Seen,
    /// It belongs to an activation that has a successor: its worker was taken for dead.
    Stale,
    /// Its activation has ended, and nothing that it says belongs behind the end.
    Ended,
    /// It is about another run, or about another task under the same id.
    Foreign,
}

impl RunLog {
    /// Takes an event of the stream into the document. Only [`Applied::Changed`] leaves it other than it was.
    ///
    /// Within an activation the first end is the only one. After it, only the record of an attempt and what is known of
    /// the output may come, since both are written when the run is over. An activation opens with whichever event of
    /// it comes first: its `run` may have been lost where the policy allows for that.
    pub fn apply(&mut self, entry: EventId, event: &RunEvent) -> Applied {
        if event.run_id() != &self.run_id || event.task_name() != self.task_name {
            return Applied::Foreign;
        }
        if self.last_entry.is_some_and(|last| entry <= last) {
            return Applied::Seen;
        }
        if event.activation() < self.activation {
            return Applied::Stale;
        }
        let goes_on = event.activation() == self.activation;
        let behind_the_end = matches!(event, RunEvent::Attempt { .. } | RunEvent::Metadata { .. });
        if goes_on && self.status.is_terminal() && !behind_the_end {
            return Applied::Ended;
        }
        if !goes_on {
            self.open(event);
        }
        self.take(event);
        self.last_entry = Some(entry);
        Applied::Changed
    }

    /// Begins an activation. What the run has done before stays: it is resumed.
    fn open(&mut self, event: &RunEvent) {
        self.activation = event.activation();
        self.status = Status::Processing;
        self.kind = event.kind();
        (self.start, self.end, self.runtime) = (None, None, None);
        self.message.clear();
        self.exc_text = None;
        self.metadata = None;
    }

    fn take(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Task(event) => self.take_action(event),
            RunEvent::Step { log, .. } => self.put_step(log.clone()),
            RunEvent::Attempt { step, log, .. } => self.put_attempt(step.as_deref(), log.as_ref().clone()),
            RunEvent::Parameters { branch, parameters, .. } => {
                let masked = parameters.iter().map(|(name, value)| (name.clone(), value.clone().masked())).collect();
                // A branch that nobody has heard of cannot keep them, and the run's own must not be mixed with them.
                let _known = self.set_parameters(branch.as_deref(), masked);
            }
            RunEvent::RunConfig { dag_hash, tag, run_config, .. } => {
                self.dag_hash = dag_hash.clone().or(self.dag_hash.take());
                self.tag = tag.clone().unwrap_or(std::mem::take(&mut self.tag));
                self.set_run_config(run_config);
            }
            RunEvent::Metadata { metadata, .. } => self.metadata = Some(metadata.clone()),
        }
    }

    fn take_action(&mut self, event: &TaskLogEvent) {
        self.status = event.action.status();
        self.kind = event.kind;
        self.partition = event.partition.or(self.partition);
        self.message.clone_from(&event.message);
        self.start = event.start.or(self.start);
        match event.action {
            Action::Run => {
                self.start = self.start.or(Some(time(event.created)));
                let log_url = event.extra.get(TaskLogEvent::LOG_URL).and_then(|url| url.as_str());
                let log_url = log_url.map(str::to_owned);
                self.worker = WorkerRef { id: event.worker_id.clone(), host: event.host.clone(), log_url };
            }
            _ => {
                self.end = event.end.or(Some(time(event.created)));
                self.runtime = event.runtime;
                self.exc_text.clone_from(&event.exc_text);
            }
        }
        if event.kind == TaskKind::Job {
            let job = self.job.get_or_insert_with(JobLog::new);
            job.status = self.status;
            job.message.clone_from(&event.message);
        }
    }
}
