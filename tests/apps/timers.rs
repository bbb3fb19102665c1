//! Timers: a grid without drift, and what becomes of ticks that pass while a run is not over.

use std::collections::BTreeSet;

use runnel::broker::Broker;
use runnel::prelude::*;
use runnel::runs::{Cut, Ended};
use runnel::testing::{Operation, TestApp, takes};
use runnel::{Overlap, Stream};

use crate::shop::{MS, SECOND, instants, leader, started, three_workers};

const START: &str = "2026-01-01T00:00:00Z";

/// Runs that take so long, every second.
async fn slow(overlap: Overlap, time: Duration) -> TestApp {
    let mut app = App::bare("shop");
    app.timer(SECOND, move || takes(time)).name("slow").overlap(overlap);
    TestApp::at(START, app).await
}

#[tokio::test(start_paused = true)]
async fn a_timer_does_not_drift_and_begins_one_interval_after_the_start() {
    let mut app = App::bare("shop");
    app.timer(10 * SECOND, async || takes(3 * SECOND).await).name("ping");
    let shop = TestApp::at(START, app).await;

    shop.advance_to("2026-01-01T00:00:45Z").await;

    assert_eq!(started(&shop, "ping"), ["00:00:10.000", "00:00:20.000", "00:00:30.000", "00:00:40.000"]);
}

#[tokio::test(start_paused = true)]
async fn ticks_are_skipped_while_a_run_is_not_over() {
    let shop = slow(Overlap::Skip, 2_500 * MS).await;

    shop.advance_to("2026-01-01T00:00:09Z").await;

    assert_eq!(started(&shop, "slow"), ["00:00:01.000", "00:00:04.000", "00:00:07.000"]);
}

#[tokio::test(start_paused = true)]
async fn ticks_wait_for_a_run_that_is_not_over() {
    let shop = slow(Overlap::Queue, 2_500 * MS).await;

    shop.advance_to("2026-01-01T00:00:09Z").await;

    assert_eq!(started(&shop, "slow"), ["00:00:01.000", "00:00:03.500", "00:00:06.000", "00:00:08.500"]);
    assert_eq!(instants(&shop, "slow"), ["00:00:01", "00:00:02", "00:00:03", "00:00:04"]);
}

#[tokio::test(start_paused = true)]
async fn runs_may_overlap() {
    let shop = slow(Overlap::Allow, 2_500 * MS).await;

    shop.advance_to("2026-01-01T00:00:04.600Z").await;

    assert_eq!(started(&shop, "slow"), ["00:00:01.000", "00:00:02.000", "00:00:03.000", "00:00:04.000"]);
    let over = shop.fired("slow").iter().filter(|run| run.outcome.is_some()).count();
    assert_eq!(over, 2);
}

#[tokio::test(start_paused = true)]
async fn jitter_delays_runs_and_not_the_grid() {
    let mut app = App::bare("shop");
    app.timer(10 * SECOND, async || ()).name("ping").jitter(5 * SECOND);
    let shop = TestApp::at(START, app).await;

    shop.advance(Duration::from_secs(1_000)).await;

    let runs = shop.fired("ping");
    let delays: BTreeSet<i64> =
        runs.iter().map(|run| (run.started - run.instant.unwrap()).num_milliseconds()).collect();
    assert!(delays.iter().all(|ms| (0..=5_000).contains(ms)) && delays.len() > 20, "{delays:?}");
    assert!(runs.len() >= 99 && runs.iter().all(|run| run.instant.unwrap().timestamp() % 10 == 0));
}

#[tokio::test(start_paused = true)]
async fn a_timer_may_fire_each_millisecond() {
    let mut app = App::bare("shop");
    app.timer(MS, async || ()).name("fast");
    app.timer(MS, async || ()).name("fleet").on_leader();
    let shop = TestApp::at(START, app).await;

    shop.advance(SECOND).await;

    for job in ["fast", "fleet"] {
        let count = shop.fired(job).len();
        assert!((900..=1_000).contains(&count), "{job}: {count}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_instant_of_the_fleet_fires_once_also_when_the_leader_dies() {
    let mut app = App::bare("shop");
    app.timer(7 * SECOND, async || ()).name("ping").on_leader();
    let mut shop = three_workers("2026-01-01T00:00:03Z", app).await;
    shop.advance(Duration::from_secs(100)).await;
    let old = leader(&shop).await;
    shop.crash(&old);
    shop.advance(Duration::from_secs(100)).await;

    let mut runs = shop.fired("ping");
    assert!(runs.iter().all(|run| run.instant.unwrap().timestamp() % 7 == 0), "a grid of their own");
    assert!(runs.len() >= 24, "{}", runs.len());
    runs.sort_by_key(|run| run.instant);
    assert!(runs.windows(2).all(|pair| pair[0].instant < pair[1].instant), "an instant ran twice");
}

/// The hourly ticks that a fleet has run, when nobody led from just before the second one for so long.
async fn hourly_without_a_leader_for(outage: Duration) -> TestApp {
    let mut app = App::bare("shop");
    app.timer(3600 * SECOND, async || ()).name("hourly").on_leader();
    let mut shop = TestApp::at("2026-01-01T00:30:00Z", app).await;
    shop.advance_to("2026-01-01T00:59:50Z").await;
    shop.crash("worker-1");
    shop.advance(outage).await;
    shop.add_worker("worker-2").await;
    // It knows a little later than usual that the timer is not stopped.
    shop.lose_next_reply("worker-2", Operation::Jobs);
    shop.advance_to("2026-01-01T02:30:00Z").await;
    shop
}

#[tokio::test(start_paused = true)]
async fn a_tick_of_the_fleet_at_which_nobody_led_runs_late() {
    let shop = hourly_without_a_leader_for(40 * SECOND).await;

    assert_eq!(instants(&shop, "hourly"), ["01:00:00", "02:00:00"]);
    let late = shop.fired("hourly")[0].started - shop.fired("hourly")[0].instant.unwrap();
    assert!((1..60).contains(&late.num_seconds()), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_tick_of_the_fleet_is_not_run_when_its_time_is_long_over() {
    let shop = hourly_without_a_leader_for(300 * SECOND).await;

    assert_eq!(instants(&shop, "hourly"), ["02:00:00"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_or_panics_or_takes_too_long_ends_neither_timer_nor_worker() {
    let mut app = App::bare("shop");
    app.timer(SECOND, async || Err::<(), _>(runnel::Error::from("no network"))).name("fails");
    app.timer(SECOND, async || assert!(SECOND.is_zero(), "boom")).name("panics");
    app.timer(SECOND, async || takes(Duration::from_secs(60)).await).name("hangs").timeout(300 * MS);
    app.timer(SECOND, async || Err::<(), _>(runnel::inaction("no orders"))).name("idles");
    let shop = TestApp::at(START, app).await;

    shop.advance_to("2026-01-01T00:00:03.500Z").await;

    for (job, ended) in [
        ("fails", Ended::Failed("no network".into())),
        ("panics", Ended::Failed("the timer panicked: boom".into())),
        ("hangs", Ended::Terminated(Cut::TimedOut(300 * MS))),
        ("idles", Ended::Inaction("no orders".into())),
    ] {
        let outcomes: Vec<_> = shop.fired(job).iter().map(|run| run.outcome.clone()).collect();
        assert_eq!(outcomes, vec![Some(ended); 3], "{job}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_in_quarantine_stops_on_all_workers_until_it_is_resumed() {
    let mut app = App::bare("shop");
    let job = async |run: RunContext| match run.worker() {
        "worker-2" if run.started().timestamp() == 1_767_225_605 => Err(runnel::Error::from("no network")),
        _ => Ok(()),
    };
    app.timer(SECOND, job).name("ping").exception_policy(ExceptionPolicy::Quarantine);
    let shop = three_workers(START, app).await;

    shop.advance_to("2026-01-01T00:00:30Z").await;
    let stopped: BTreeSet<String> = started(&shop, "ping").into_iter().collect();
    assert!(stopped.last().unwrap().as_str() < "00:00:10", "{stopped:?}");

    shop.pause_job("ping", false).await;
    shop.advance_to("2026-01-01T00:00:40Z").await;
    let workers: BTreeSet<_> = shop
        .fired("ping")
        .iter()
        .filter(|run| run.started.timestamp() >= 1_767_225_635)
        .map(|run| run.worker.clone())
        .collect();
    assert_eq!(workers.len(), 3, "all go on");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_halts_ends_its_worker_with_a_sentence() {
    let mut app = App::bare("shop");
    app.timer(SECOND, async || Err::<(), _>(runnel::Error::from("no network")))
        .name("ping")
        .exception_policy(ExceptionPolicy::Halt);
    let mut shop = TestApp::at(START, app).await;

    let failure = shop.worker("worker-1").ended().await.unwrap_err();

    let text = failure.to_string();
    assert!(matches!(failure, runnel::Failure::Halted(_)), "{failure:?}");
    assert!(text.contains("timer `ping`") && text.contains("no network"), "{text}");
    assert_eq!(shop.fired("ping").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_lets_runs_finish_within_the_grace_period_and_starts_none() {
    let mut app = App::bare("shop");
    app.timer(10 * SECOND, async || takes(5 * SECOND).await).name("short");
    app.timer(10 * SECOND, async || takes(100 * SECOND).await).name("long");
    let mut shop = TestApp::at(START, app).await;
    shop.advance_to("2026-01-01T00:00:11Z").await;

    let before = runnel::clock::now();
    shop.worker("worker-1").drain().await.unwrap();

    assert_eq!(runnel::clock::now().since(before), 8 * SECOND, "the grace period");
    let outcomes = |job| shop.fired(job).into_iter().map(|run| run.outcome).collect::<Vec<_>>();
    assert_eq!(outcomes("short"), [Some(Ended::Success)]);
    assert_eq!(outcomes("long"), [Some(Ended::Terminated(Cut::Drained))]);
}

#[tokio::test(start_paused = true)]
async fn a_job_sends_to_the_app_it_runs_in_also_from_a_task_of_its_own() {
    let orders: Stream<u32> = Stream::new("orders", |n: &u32| (*n).into());
    let mut app = App::bare("shop");
    let ours = orders.clone();
    app.timer(SECOND, move || {
        let orders = ours.clone();
        async move {
            let sent = runnel::spawn(async move { orders.send(7).await });
            sent.await??;
            Ok::<(), runnel::Error>(())
        }
    })
    .name("sender");
    app.processor(&orders, async |_: u32| ()).name("reader");
    let shop = TestApp::at(START, app).await;

    shop.advance_to("2026-01-01T00:00:03.500Z").await;
    shop.until_idle().await;

    assert_eq!(shop.settled("reader").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_worker_says_where_the_grids_of_its_own_timers_begin() {
    let mut app = App::bare("shop");
    app.timer(10 * SECOND, async || ()).name("ping");
    app.timer(10 * SECOND, async || ()).name("fleet").on_leader();
    let shop = TestApp::at("2026-01-01T00:00:00Z", app).await;

    shop.advance(11 * SECOND).await;

    let workers = shop.memory().connect().workers().await.unwrap();
    let about: serde_json::Value = serde_json::from_str(&workers[0].about).unwrap();
    let first = shop.fired("ping")[0].instant.unwrap().timestamp_millis();
    assert_eq!(about["timers"], serde_json::json!({ "ping": first - 10_000 }));
}
