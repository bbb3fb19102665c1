//! Runs that a worker is asked to run again: once, in the worker itself, and by whoever may ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runnel::prelude::*;
use runnel::runs::{NewRunLog, RunId, RunLog, RunLogQuery, Status};
use runnel::{Connected, Failure};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::asking::{Answer, ask, run_id};
use crate::support::{Server, eventually, eventually_some};

const TOKEN: &str = "canary-canary-canary";

/// What the job does when it is called, and where it waits until that changes.
#[derive(Clone, Copy, PartialEq)]
enum Will {
    Fail,
    Wait,
    End,
}

/// An app with the job `ingest`, and a task by which workers say where they are.
struct Shop {
    app: App,
    connected: Arc<Connected>,
    will: watch::Sender<Will>,
    calls: Arc<AtomicUsize>,
    /// Shared by each call that has not ended.
    running: Arc<()>,
    _room: tempfile::TempDir,
}

/// A worker that runs.
struct Worker {
    at: SocketAddr,
    drain: Arc<Notify>,
    running: JoinHandle<Result<(), Failure>>,
}

impl Shop {
    async fn open(url: &str, change: impl FnOnce(App) -> App) -> Self {
        let room = tempfile::tempdir().unwrap();
        let (will, calls) = (watch::Sender::new(Will::Fail), Arc::new(AtomicUsize::new(0)));
        let app = App::bare("shop").redis(url).http("127.0.0.1:0");
        let app = app.setting("job_work_dir", room.path().display().to_string());
        let mut app = change(app.setting("default_lock_expiry", "1s").setting("default_read_timeout", "100ms"));
        let (told, called) = (will.clone(), calls.clone());
        let running = Arc::new(());
        let runs = Arc::downgrade(&running);
        let ingest = move || {
            let mut told = told.subscribe();
            called.fetch_add(1, Ordering::SeqCst);
            let running = runs.upgrade();
            async move {
                let _running = running;
                match *told.wait_for(|will| *will != Will::Wait).await? {
                    Will::Fail => Err("no luck".into()),
                    _ => Ok::<(), runnel::Error>(()),
                }
            }
        };
        app.on_demand(ingest).name("ingest");
        app.task(async || {}).name("here");
        let connected = Arc::new(app.connect().await.unwrap());
        Self { app, connected, will, calls, running, _room: room }
    }

    /// One more worker, as soon as it is known where it answers.
    async fn worker(&self) -> Worker {
        let known = self.places().await;
        let (drain, connected) = (Arc::new(Notify::new()), self.connected.clone());
        let until = drain.clone();
        let working = async move { connected.work_until(async move { until.notified().await }).await };
        let running = tokio::spawn(working);
        let new = async || self.places().await.into_iter().find(|place| !known.contains(place));
        Worker { at: eventually_some("a worker says where it is", new).await, drain, running }
    }

    async fn places(&self) -> Vec<SocketAddr> {
        let runs = self.app.run_logs().get_run_logs(&RunLogQuery::new().task("here")).await.unwrap().items;
        let urls = runs.into_iter().filter_map(|run| run.worker.log_url);
        urls.map(|url| url.strip_prefix("http://").unwrap().parse().unwrap()).collect()
    }

    /// A run that has failed, as everybody can see.
    async fn failed(&self) -> RunId {
        self.will.send_replace(Will::Fail);
        let report = self.app.job_named("ingest").run(()).await.unwrap();
        assert_eq!(report.status, Status::Fail);
        self.calls.store(0, Ordering::SeqCst);
        self.becomes(&report.run_id, Status::Fail, 1).await;
        report.run_id
    }

    /// Waits until the document of that run says so.
    async fn becomes(&self, run: &RunId, status: Status, activation: u32) -> RunLog {
        let look = async || {
            let document = self.app.run_logs().get(run).await.ok();
            document.filter(|document| (document.status, document.activation) == (status, activation))
        };
        eventually_some(&format!("{status} in activation {activation}"), look).await
    }

    /// A document of a failed run that this app did not write.
    async fn document(&self, id: &str, task: &str) -> RunId {
        let log = self.app.run_logs().create_run_log(NewRunLog::new(run_id(id), task)).await.unwrap();
        self.app.run_logs().put_run_log(&RunLog { status: Status::Fail, ..log }).await.unwrap();
        run_id(id)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Worker {
    async fn retry(&self, run: &RunId) -> Answer {
        self.retry_with(run, &[]).await
    }

    async fn retry_with(&self, run: &RunId, headers: &[(&str, &str)]) -> Answer {
        ask(self.at, "POST", &format!("/api/job_runs/{run}/retry"), headers).await
    }

    async fn drains(self) {
        self.drain.notify_one();
        self.running.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_answered_when_it_has_begun_and_outlives_its_connection() {
    let shop = Shop::open("memory://", |app| app).await;
    let worker = shop.worker().await;
    let run = shop.failed().await;
    shop.will.send_replace(Will::Wait);

    let answer = worker.retry(&run).await;

    assert_eq!((answer.status, &answer.json()["run_id"]), (202, &run.as_str().into()), "{answer:?}");
    // The connection is closed, and the run goes on in the worker, which is now the one that has its lines.
    let begun = shop.becomes(&run, Status::Processing, 2).await;
    assert_eq!(begun.worker.log_url, Some(format!("http://{}", worker.at)));
    shop.will.send_replace(Will::End);
    shop.becomes(&run, Status::Success, 2).await;
    worker.drains().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_retries_at_once_exactly_one_begins() {
    let server = Server::redis();
    let shop = Shop::open(&server.url(), |app| app).await;
    let workers = [shop.worker().await, shop.worker().await];
    for (round, will) in [Will::End, Will::Wait].into_iter().cycle().take(12).enumerate() {
        let run = shop.failed().await;
        shop.will.send_replace(will);

        let asked = (0..6).map(|nth| workers[nth % 2].retry(&run));
        let answers = futures::future::join_all(asked).await;
        shop.will.send_replace(Will::End);
        shop.becomes(&run, Status::Success, 2).await;

        let begun = answers.iter().filter(|answer| answer.status == 202).count();
        let refused = answers.iter().filter(|answer| answer.status == 409).count();
        assert_eq!((begun, refused, shop.calls()), (1, 5, 1), "round {round}: {answers:?}");
    }
    let [one, other] = workers;
    one.drains().await;
    other.drains().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_begins_no_retry_and_waits_for_those_that_run() {
    let shop = Shop::open("memory://", |app| app).await;
    let worker = shop.worker().await;
    let (run, other) = (shop.failed().await, shop.document("other", "nothing").await);
    shop.will.send_replace(Will::Wait);
    assert_eq!(worker.retry(&run).await.status, 202);

    worker.drain.notify_one();
    eventually("the worker drains", async || worker.retry(&other).await.status == 503).await;
    let refused = worker.retry(&other).await;
    shop.will.send_replace(Will::End);
    worker.running.await.unwrap().unwrap();

    assert!(refused.json()["message"].as_str().unwrap().contains("drains"), "{refused:?}");
    // Who was there to tell it has drained as well.
    let next = shop.worker().await;
    shop.becomes(&run, Status::Success, 2).await;
    next.drains().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_outlasts_the_grace_period_is_terminated_and_can_be_retried_again() {
    let shop = Shop::open("memory://", |app| app.setting("default_grace_period", "300ms")).await;
    let worker = shop.worker().await;
    let run = shop.failed().await;
    shop.will.send_replace(Will::Wait);
    assert_eq!(worker.retry(&run).await.status, 202);

    worker.drains().await;

    let next = shop.worker().await;
    shop.becomes(&run, Status::Terminated, 2).await;
    shop.will.send_replace(Will::End);
    assert_eq!(next.retry(&run).await.status, 202);
    shop.becomes(&run, Status::Success, 3).await;
    next.drains().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_whose_worker_is_killed_has_crashed_and_is_retried_by_another() {
    let shop = Shop::open("memory://", |app| app).await;
    let (doomed, other) = (shop.worker().await, shop.worker().await);
    let run = shop.failed().await;
    shop.will.send_replace(Will::Wait);
    assert_eq!(doomed.retry(&run).await.status, 202);
    let too_early = other.retry(&run).await;

    eventually("it is called", async || shop.calls() == 1).await;
    doomed.running.abort();
    assert!(doomed.running.await.unwrap_err().is_cancelled());
    // What the worker ran ends with it, and not in the same moment.
    eventually("its run is dropped", async || Arc::strong_count(&shop.running) == 1).await;
    shop.will.send_replace(Will::End);
    // It counts as running until its worker does not count as alive any more.
    eventually("the run is found crashed", async || other.retry(&run).await.status == 202).await;

    assert_eq!(too_early.status, 409, "{too_early:?}");
    shop.becomes(&run, Status::Success, 3).await;
    assert_eq!(shop.calls(), 2, "once in each of the two");
    other.drains().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_retried_is_refused_with_the_reason() {
    let shop = Shop::open("memory://", |app| app).await;
    let worker = shop.worker().await;
    let (running, well) = (shop.failed().await, shop.failed().await);
    shop.will.send_replace(Will::End);
    assert_eq!(worker.retry(&well).await.status, 202);
    shop.becomes(&well, Status::Success, 2).await;
    shop.will.send_replace(Will::Wait);
    assert_eq!(worker.retry(&running).await.status, 202);
    let (no_job, a_task) = (shop.document("a1", "nothing").await, shop.document("a2", "here").await);

    for (run, status, why) in [
        (&running, 409, "is running"),
        (&well, 409, "has ended well"),
        (&no_job, 409, "`nothing`, which is no job of app `shop` in this worker"),
        (&a_task, 409, "task `here`: only runs of jobs on demand"),
        (&run_id("unknown"), 404, "no such run"),
    ] {
        let answer = worker.retry(run).await;
        let said = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(answer.status == status && said.contains(why), "{run}: {answer:?}");
    }
    shop.will.send_replace(Will::End);
    worker.drains().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_ask_has_a_run_retried() {
    let shop = Shop::open("memory://", |app| app.setting("http_token", TOKEN)).await;
    let worker = shop.worker().await;
    let run = shop.failed().await;
    shop.will.send_replace(Will::End);
    let bearer = format!("Bearer {TOKEN}");

    for (headers, status) in [
        (&[][..], 401),
        (&[("Authorization", "Bearer canary-canary-canarx")], 401),
        (&[("Authorization", bearer.as_str()), ("Origin", "http://evil.example")], 403),
    ] {
        assert_eq!(worker.retry_with(&run, headers).await.status, status, "{headers:?}");
    }
    assert_eq!(shop.calls(), 0);
    assert_eq!(worker.retry_with(&run, &[("Authorization", bearer.as_str())]).await.status, 202);
    shop.becomes(&run, Status::Success, 2).await;
    worker.drains().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_only_this_machine_has_a_run_retried() {
    let shop = Shop::open("memory://", |app| app).await;
    let worker = shop.worker().await;
    let run = shop.failed().await;
    for headers in [[("Host", "shop.example"), ("Accept", "*/*")], [("Host", "127.0.0.1:1"), ("Origin", "null")]] {
        assert_eq!(worker.retry_with(&run, &headers).await.status, 403, "{headers:?}");
    }
    assert_eq!(shop.calls(), 0);
    worker.drains().await;
}
