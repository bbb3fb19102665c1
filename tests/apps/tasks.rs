//! Tasks: at each worker's start, or to success once in each generation of the fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use runnel::broker::memory::{Fault, Operation};
use runnel::prelude::*;
use runnel::runs::Ended;
use runnel::testing::{TestApp, takes};

use crate::shop::{SECOND, eventually, leader, started, three_workers};

const START: &str = "2026-01-01T00:00:00Z";

/// A job that fails so many times.
fn failing(times: u32) -> impl Fn() -> std::future::Ready<Result> + Send + Sync + 'static {
    let left = Arc::new(AtomicU32::new(times));
    move || {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        std::future::ready(if fails { Err("not yet".into()) } else { Ok(()) })
    }
}

fn migrating(version: &str) -> App {
    let mut app = App::bare("shop").version(version);
    app.task(async || ()).name("migrate").on_leader();
    app
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_once_on_each_worker_and_the_worker_lives_on() {
    let mut app = App::bare("shop");
    app.task(async || ()).name("warm_up");
    let shop = three_workers(START, app).await;

    shop.advance(Duration::from_secs(60)).await;

    let mut workers: Vec<_> = shop.fired("warm_up").iter().map(|run| run.worker.to_string()).collect();
    workers.sort();
    assert_eq!(workers, ["worker-1", "worker-2", "worker-3"]);
    assert!(shop.workers().iter().all(|worker| !worker.has_ended()));
}

#[tokio::test(start_paused = true)]
async fn a_task_of_the_leader_runs_once_in_a_generation_whoever_leads() {
    let mut shop = three_workers(START, migrating("1")).await;
    shop.advance(Duration::from_secs(30)).await;
    assert_eq!(shop.fired("migrate").len(), 1);

    let old = leader(&shop).await;
    shop.worker(&old).drain().await.unwrap();
    shop.advance(Duration::from_secs(30)).await;
    assert_eq!(shop.fired("migrate").len(), 1, "the next leader finds it done");

    shop.drain().await;
    shop.add_worker("worker-4").await;
    shop.advance(Duration::from_secs(30)).await;
    assert_eq!(shop.fired("migrate").len(), 2, "an empty fleet that is joined begins a generation");
}

#[tokio::test(start_paused = true)]
async fn a_task_of_the_leader_is_tried_until_it_succeeds_with_longer_and_longer_pauses() {
    let mut app = App::bare("shop");
    app.task(failing(4)).name("migrate").on_leader();
    let shop = TestApp::at(START, app).await;

    shop.advance(Duration::from_secs(60)).await;

    let runs = shop.fired("migrate");
    assert_eq!(runs.iter().map(|run| run.attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(runs[4].outcome, Some(Ended::Success));
    let pauses: Vec<_> = runs.windows(2).map(|pair| (pair[1].started - pair[0].started).num_seconds()).collect();
    assert_eq!(pauses, [1, 2, 4, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_leader_dies_in_the_middle_is_run_again_by_the_next() {
    let mut app = App::bare("shop");
    app.task(async || takes(10 * SECOND).await).name("migrate").on_leader();
    let mut shop = three_workers(START, app).await;
    eventually(&shop, "it starts", |shop| shop.fired("migrate").len() == 1).await;
    let old = leader(&shop).await;

    shop.crash(&old);
    shop.advance(Duration::from_secs(60)).await;

    let runs = shop.fired("migrate");
    assert_eq!(runs.iter().map(|run| run.outcome.clone()).collect::<Vec<_>>(), [None, Some(Ended::Success)]);
    assert!(runs[1].term > runs[0].term && *runs[1].worker != *old, "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn in_a_deploy_only_a_leader_of_the_new_version_runs_its_task() {
    let mut shop = TestApp::at(START, migrating("1")).await;
    shop.advance(Duration::from_secs(30)).await;

    shop.add_worker_of("new", migrating("2")).await;
    shop.advance(Duration::from_secs(60)).await;
    assert_eq!(shop.fired("migrate").len(), 1, "the old leader must not run what the new version brings");

    shop.worker("worker-1").drain().await.unwrap();
    shop.advance(Duration::from_secs(30)).await;
    let workers: Vec<_> = shop.fired("migrate").iter().map(|run| run.worker.to_string()).collect();
    assert_eq!(workers, ["worker-1", "new"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_in_quarantine_waits_until_it_is_resumed() {
    let mut app = App::bare("shop");
    app.task(failing(1)).name("migrate").on_leader().exception_policy(ExceptionPolicy::Quarantine);
    let mut shop = three_workers(START, app).await;
    shop.advance(Duration::from_secs(60)).await;
    assert_eq!(started(&shop, "migrate").len(), 1);
    let old = leader(&shop).await;
    shop.crash(&old);
    shop.advance(Duration::from_secs(60)).await;
    assert_eq!(started(&shop, "migrate").len(), 1, "the next leader leaves it alone too");

    shop.pause_job("migrate", false).await;
    shop.advance(Duration::from_secs(10)).await;

    assert_eq!(shop.fired("migrate").last().unwrap().outcome, Some(Ended::Success));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_halts_ends_one_leader_and_not_the_whole_fleet() {
    type Declare = fn(&mut App);
    let declare: [(&str, Declare); 3] = [
        ("task", |app| {
            app.task(failing(100)).name("migrate").on_leader().exception_policy(ExceptionPolicy::Halt);
        }),
        ("timer", |app| {
            app.timer(SECOND, failing(100)).name("migrate").on_leader().exception_policy(ExceptionPolicy::Halt);
        }),
        ("crontab", |app| {
            app.crontab("* * * * * *", failing(100))
                .name("migrate")
                .on_leader()
                .exception_policy(ExceptionPolicy::Halt);
        }),
    ];
    for (kind, declare) in declare {
        let mut app = App::bare("shop");
        declare(&mut app);
        let mut shop = three_workers(START, app).await;

        shop.advance(Duration::from_secs(120)).await;

        assert_eq!(shop.workers().iter().filter(|worker| worker.has_ended()).count(), 1, "{kind}");
        let name = shop.fired("migrate")[0].worker.to_string();
        let failure = shop.worker(&name).ended().await.unwrap_err().to_string();
        assert!(failure.contains(&format!("{kind} `migrate`")), "{failure}");
        assert!(failure.contains("jobs resume migrate"), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_while_its_worker_drains_is_stopped_for_the_others_too() {
    let mut app = App::bare("shop");
    let fails = async || {
        takes(5 * SECOND).await;
        Err::<(), _>(runnel::Error::from("no disk"))
    };
    app.task(fails).name("migrate").on_leader().exception_policy(ExceptionPolicy::Quarantine);
    let mut shop = TestApp::at(START, app).await;
    eventually(&shop, "it starts", |shop| shop.fired("migrate").len() == 1).await;

    shop.worker("worker-1").link().next_fault(Operation::StopJob, Fault::Refused("LOADING"));
    shop.worker("worker-1").drain().await.unwrap();
    shop.add_worker("worker-2").await;
    shop.advance(60 * SECOND).await;

    assert_eq!(started(&shop, "migrate").len(), 1);
}
