//! From an app to the stage on which its jobs on demand are run, in whatever process.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::processor::extract::States;
use crate::runner::{LOG_PERIOD, Stage, identities};
use crate::runs::recorder::{Alive, Journal};
use crate::runs::{Observers, RunLogStore};
use crate::stream::current::Handle;

use super::App;

/// What a [`Stage`] stands on that is not of the app.
pub(crate) struct Ground {
    pub(crate) handle: Handle,
    pub(crate) states: Arc<States>,
    pub(crate) worker: Arc<str>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) run_logs: Option<Arc<dyn RunLogStore>>,
    pub(crate) drain: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) alive: Option<Alive>,
    pub(crate) halts: Option<mpsc::UnboundedSender<String>>,
}

impl App {
    /// Where jobs on demand of this app are run, on that ground.
    pub(crate) fn stage(&self, ground: Ground) -> Result<Stage, Failure> {
        let Ground { handle, states, worker, journal, run_logs, drain, abort, alive, halts } = ground;
        Ok(Stage {
            is_current: true,
            states,
            worker,
            journal,
            run_logs,
            has_stream: true,
            trace_stores: self.trace_stores.clone(),
            observers: Observers::clone(&self.observers),
            work_dir: handle.settings().job_work_dir.as_str().into(),
            log_period: LOG_PERIOD,
            keeping: self.keeping(handle.settings())?,
            run_ids: self.run_ids.clone(),
            code: identities(self.name(), &self.version),
            drain,
            abort,
            alive,
            halts,
            handle,
        })
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use futures::future::BoxFuture;
    use serde_json::Map;
    use tokio::sync::{Notify, oneshot};

    use super::*;
    use crate::broker::memory::Memory;
    use crate::broker::{Broker, Standing};
    use crate::clock::{self, ServerClock};
    use crate::job::JobSection;
    use crate::runs::recorder::{Announcing, Beginning, Page, Recorder, Refused};
    use crate::runs::{Ended, RunLog, Status};
    use crate::settings::{Settings, TaskLogPolicy};
    use crate::tasks::{Gate, Tasks};

    /// A journal in which something else happens before anything begins.
    struct Meanwhile {
        journal: Recorder,
        first: Mutex<Option<BoxFuture<'static, ()>>>,
    }

    #[async_trait]
    impl Journal for Meanwhile {
        fn clock(&self) -> &ServerClock {
            self.journal.clock()
        }

        async fn begin(&self, beginning: Beginning) -> Result<Box<dyn Page>, Refused> {
            let first = self.first.lock().unwrap().take();
            if let Some(first) = first {
                first.await;
            }
            Journal::begin(&self.journal, beginning).await
        }

        async fn find_crashed(&self, newest: Option<&RunLog>) -> Result<(), Failure> {
            self.journal.find_crashed(newest).await
        }
    }

    fn recorder(handle: &Handle, worker: &str) -> Recorder {
        let now = clock::now();
        let clock = ServerClock::heard(now, now, clock::wall());
        Recorder::new(handle.clone(), clock, worker.into(), TaskLogPolicy::Quarantine).0
    }

    fn stage(app: &App, handle: &Handle, worker: &str, journal: Arc<dyn Journal>) -> Stage {
        let ground = Ground {
            handle: handle.clone(),
            states: Arc::default(),
            worker: worker.into(),
            journal,
            run_logs: None,
            drain: CancellationToken::new(),
            abort: CancellationToken::new(),
            alive: None,
            halts: None,
        };
        app.stage(ground).unwrap()
    }

    #[tokio::test]
    async fn what_was_resumed_and_ended_elsewhere_meanwhile_is_not_resumed_again() {
        let calls = Arc::new(AtomicU32::new(0));
        let (mut app, called) = (App::bare("shop"), calls.clone());
        let ingest = move || {
            let is_first = called.fetch_add(1, Ordering::SeqCst) == 0;
            async move { if is_first { Err(crate::Error::from("no luck")) } else { Ok(()) } }
        };
        app.on_demand(ingest).name("ingest");
        let handle = Handle::new("shop".into(), Arc::new(Memory::new().connect()), Settings::default()).unwrap();
        let job = app.jobs[0].clone();
        let (one, section) = (recorder(&handle, "one"), JobSection::default());
        let quick = stage(&app, &handle, "one", Arc::new(one));
        let failed = quick.run(&job, &section, Map::new()).await.unwrap().run_id;
        let meanwhile = {
            let (job, run) = (job.clone(), failed.clone());
            async move { assert!(quick.retry(&job, &JobSection::default(), &run, None).await.unwrap().is_well()) }
        };
        let first = Mutex::new(Some(Box::pin(meanwhile) as BoxFuture<'static, ()>));
        let slow = stage(&app, &handle, "other", Arc::new(Meanwhile { journal: recorder(&handle, "other"), first }));

        let (begins, begun) = oneshot::channel();
        let report = slow.retry(&job, &section, &failed, Some(begins)).await.unwrap();

        assert!(matches!(report.ended, Ended::NotStarted(_)), "{report:?}");
        assert!(begun.await.unwrap().unwrap_err().is_taken);
        assert_eq!(calls.load(Ordering::SeqCst), 2, "the failure, and one retry");
        // What the second one has written changes nothing of it.
        let past = crate::runner::Past { run_logs: None, stream: Some(&handle) };
        let log = past.run("ingest", &failed).await.unwrap().unwrap();
        assert_eq!((log.status, log.activation), (Status::Success, 2));
    }

    /// Tells when it is dropped.
    struct Dropped(Arc<Notify>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_worker_is_not_heard_of_is_cut_short_before_others_may_resume_it() {
        let (mut app, cut) = (App::bare("shop"), Arc::new(Notify::new()));
        let told = cut.clone();
        let ingest = move || {
            let until_dropped = Dropped(told.clone());
            async move {
                let _until_dropped = until_dropped;
                std::future::pending::<()>().await;
            }
        };
        app.on_demand(ingest).name("ingest");
        let memory = Memory::new();
        let (link, others) = (memory.connect(), memory.connect());
        let handle = Handle::new("shop".into(), Arc::new(link.clone()), Settings::default()).unwrap();
        let (announcing, _) = Announcing::begin(&handle, &"one".into(), Standing::Member, String::new).await.unwrap();
        let alive = Some(announcing.alive());
        let mut beating = Tasks::behind(&Gate::default());
        beating.start(announcing.run(None));
        let stage = Stage { alive, ..stage(&app, &handle, "one", Arc::new(recorder(&handle, "one"))) };
        let is_alive = async || others.workers().await.unwrap().iter().any(|worker| worker.name == "one");

        let (job, section) = (app.jobs[0].clone(), JobSection::default());
        let running = stage.run(&job, &section, Map::new());
        let heard_of = async {
            clock::sleep(Duration::from_secs(60)).await;
            assert!(futures::poll!(std::pin::pin!(cut.notified())).is_pending(), "nothing ends it meanwhile");
            link.cut();
            tokio::select! {
                () = cut.notified() => {}
                () = clock::sleep(Duration::from_secs(60)) => panic!("it runs on"),
            }
            let was_alive = is_alive().await;
            clock::sleep(Duration::from_secs(1)).await;
            (was_alive, is_alive().await)
        };
        // Safe to drop: the test is over.
        let (when_cut_short, soon_after) = tokio::select! {
            report = running => panic!("its end is written where no store answers: {report:?}"),
            seen = heard_of => seen,
        };

        assert!(when_cut_short && !soon_after, "{when_cut_short}, {soon_after}");
    }
}
