//! Runs of jobs on demand that somebody has asked this worker to run again.
//!
//! A [`Desk`] is one of the worker's tasks: what it begins goes on whatever becomes of the question, has the grace period
//! when the worker drains, and ends with the worker. It promises that a run is resumed once at a time, however often it is
//! asked for. Whether a run can be resumed at all is not decided here: see [`runner`](crate::runner).

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::app::App;
use crate::error::Failure;
use crate::http::{NotRetried, Retry};
use crate::job::When;
use crate::runner::{RunReport, Stage};
use crate::runs::RunId;
use crate::runs::recorder::Refused;
use crate::tasks::{Gate, Tasks};

/// Questions that wait to be looked at; who asks then waits as well.
const WAITING: usize = 64;

/// A run that is asked for.
struct Wish {
    run_id: RunId,
    task_name: String,
    answer: oneshot::Sender<Result<(), NotRetried>>,
}

/// Where one asks.
pub(super) struct Retries(mpsc::Sender<Wish>);

#[async_trait]
impl Retry for Retries {
    async fn retry(&self, run: &RunId, task_name: &str) -> Result<(), NotRetried> {
        let (answer, answered) = oneshot::channel();
        let drains = || NotRetried::Unable("this worker drains, and begins nothing new: ask another one".into());
        let wish = Wish { run_id: run.clone(), task_name: task_name.to_owned(), answer };
        self.0.send(wish).await.map_err(|_| drains())?;
        answered.await.map_err(|_| drains())?
    }
}

/// Takes what is asked for, and has it run.
pub(super) struct Desk {
    wishes: mpsc::Receiver<Wish>,
    place: Arc<Place>,
    /// What was asked for and is not over yet. The store knows runs by their worker, and so could not tell two questions to
    /// the same one apart.
    open: HashSet<RunId>,
    running: Tasks<RunId>,
}

/// Where they are run.
struct Place {
    app: App,
    stage: Stage,
}

impl Desk {
    pub(super) fn new(app: App, stage: Stage, gate: Gate) -> (Self, Retries) {
        let (asked, wishes) = mpsc::channel(WAITING);
        let place = Arc::new(Place { app, stage });
        (Self { wishes, place, open: HashSet::new(), running: Tasks::behind(&gate) }, Retries(asked))
    }

    /// Runs until the worker drains and the last run is over. Dropping it drops what runs.
    pub(super) async fn run(mut self) {
        let drain = self.place.stage.drain.clone();
        loop {
            // All are safe to drop: none loses what it waits for.
            tokio::select! {
                biased;
                Some(ended) = self.running.next() => match ended {
                    Ok(run_id) => _ = self.open.remove(&run_id),
                    // Of ours, since those of users are caught: a defect, which ends the worker.
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {}
                },
                () = drain.cancelled(), if !self.wishes.is_closed() => self.wishes.close(),
                Some(wish) = self.wishes.recv(), if !drain.is_cancelled() => self.take(wish),
                else => break,
            }
        }
    }

    fn take(&mut self, wish: Wish) {
        if !self.open.insert(wish.run_id.clone()) {
            // Whoever asked may have gone.
            let _ = wish.answer.send(Err(NotRetried::Refused(Refused::taken(&wish.run_id).why)));
            return;
        }
        let place = self.place.clone();
        self.running.start(async move {
            place.resume(&wish.run_id, &wish.task_name, wish.answer).await;
            wish.run_id
        });
    }
}

impl Place {
    /// Resumes a run to its end. The answer is given as soon as it has begun.
    async fn resume(&self, run_id: &RunId, task_name: &str, answer: oneshot::Sender<Result<(), NotRetried>>) {
        let (begins, mut begun) = oneshot::channel();
        let resuming = async {
            let job = self.job(run_id, task_name)?;
            let section = self.app.job_section(task_name).map_err(why_not)?;
            self.stage.retry(job, &section, run_id, Some(begins)).await.map_err(why_not)
        };
        let mut resuming = std::pin::pin!(resuming);
        // Whoever asked may have gone: it runs all the same.
        let told = |result| _ = answer.send(result);
        // Both are safe to drop: one only waits, the other is gone on with.
        let ended: Result<RunReport, NotRetried> = tokio::select! {
            biased;
            Ok(first) = &mut begun => {
                told(first.map_err(not_begun));
                resuming.await
            }
            ended = &mut resuming => {
                // It may have begun and ended at one go.
                match (&ended, begun.try_recv()) {
                    (_, Ok(first)) => told(first.map_err(not_begun)),
                    (Ok(_), Err(_)) => told(Ok(())),
                    (Err(_), Err(_)) => return told(ended.map(drop)),
                }
                ended
            }
        };
        if let Ok(report) = ended {
            tracing::info!(job = task_name, %run_id, status = %report.status, "a run that was retried is over");
        }
    }

    /// The job of that name, if runs of it can be resumed.
    fn job(&self, run_id: &RunId, task_name: &str) -> Result<&crate::job::JobSpec, NotRetried> {
        let refused = |what: String| {
            Err(NotRetried::Refused(format!(
                "run {run_id} is one of {what}: only runs of jobs on demand can be retried"
            )))
        };
        match self.app.jobs.iter().find(|job| job.name == task_name) {
            Some(job) if matches!(job.when, When::OnDemand) => Ok(job),
            Some(job) => refused(format!("{} `{task_name}`", job.when.kind())),
            None if self.app.processors.iter().any(|processor| processor.name == task_name) => {
                refused(format!("processor `{task_name}`"))
            }
            None => Err(NotRetried::Refused(format!(
                "run {run_id} is one of `{task_name}`, which is no job of app `{}` in this worker: ask one that has it",
                self.app.name()
            ))),
        }
    }
}

/// Why a run could not be resumed.
fn why_not(failure: Failure) -> NotRetried {
    match failure {
        Failure::RetryValidation(why) | Failure::Invalid(why) => NotRetried::Refused(why),
        Failure::NotFound(_) => NotRetried::Unknown,
        failure => NotRetried::Failed(failure),
    }
}

fn not_begun(refused: Refused) -> NotRetried {
    match refused.is_taken {
        true => NotRetried::Refused(refused.why),
        false => NotRetried::Unable(refused.why),
    }
}
