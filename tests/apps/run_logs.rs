//! The task log and the documents of runs: what jobs and processors leave in them, whatever becomes of their workers.

use std::collections::{BTreeMap, BTreeSet};

use runnel::broker::memory::Faults;
use runnel::broker::{Intervention, Start};
use runnel::prelude::*;
use runnel::runs::{Action, RunLogQuery, Status, TaskKind, TaskLogEvent};
use runnel::testing::{TestApp, takes};

use crate::shop::{MS, Order, SECOND, orders, three_workers};

const START: &str = "2026-01-01T00:00:00Z";

/// What the task log has of a task, or of a processor.
pub(crate) async fn lines(shop: &TestApp, task: &str) -> Vec<TaskLogEvent> {
    shop.app().task_log_of(task).all().all().await.unwrap()
}

pub(crate) fn actions(lines: &[TaskLogEvent]) -> Vec<Action> {
    lines.iter().map(|line| line.action).collect()
}

/// The ends of each run that began, by its id.
fn ends(lines: &[TaskLogEvent]) -> BTreeMap<&str, Vec<Action>> {
    let mut runs: BTreeMap<&str, Vec<Action>> = BTreeMap::new();
    for line in lines {
        let ends = runs.entry(line.run_id.as_str()).or_default();
        if line.action.is_terminal() {
            ends.push(line.action);
        }
    }
    runs
}

async fn status_of(shop: &TestApp, line: &TaskLogEvent) -> Status {
    shop.app().run_logs().get(&line.run_id).await.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_run_is_in_the_task_log_with_what_it_is() {
    let mut app = App::bare("shop");
    app.task(async || ()).name("warm_up");
    app.timer(10 * SECOND, async || ()).name("ping");
    app.crontab("0 * * * *", async || ()).name("hourly");
    app.processor(&orders(), async |_: Order| ()).name("billing");
    let mut shop = TestApp::at("2026-01-01T00:59:45Z", app).await;

    shop.advance_to("2026-01-01T01:00:01Z").await;
    shop.drain().await.into_iter().for_each(|end| end.unwrap());
    shop.add_worker("worker-2").await;
    shop.advance(SECOND).await;
    shop.until_idle().await;

    for (task, kind) in [("ping", TaskKind::Timer), ("hourly", TaskKind::Crontab)] {
        let lines = lines(&shop, task).await;
        assert_eq!(actions(&lines), [Action::Run, Action::Success], "{task}");
        assert!(lines.iter().all(|line| line.kind == kind && line.worker_id == "worker-1"), "{lines:?}");
        assert_eq!(status_of(&shop, &lines[0]).await, Status::Success);
    }
    assert_eq!(lines(&shop, "warm_up").await[0].kind, TaskKind::Task);
    let tenancies = lines(&shop, "billing").await;
    let of_the_first: Vec<_> = tenancies.iter().filter(|line| line.worker_id == "worker-1").cloned().collect();
    let partitions: BTreeSet<_> = of_the_first.iter().filter_map(|line| line.partition).collect();
    assert_eq!(partitions, BTreeSet::from([0, 1, 2, 3]));
    assert!(ends(&of_the_first).values().all(|ends| *ends == [Action::Success]), "{of_the_first:?}");
    assert!(tenancies.iter().all(|line| line.kind == TaskKind::Processor));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_succeed_says_how_and_why() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach the shop")]
    struct Unreachable(#[source] runnel::Error);

    let mut app = App::bare("shop");
    app.timer(SECOND, async || Err::<(), runnel::Error>(Unreachable("no network".into()).into())).name("fails");
    app.timer(SECOND, async || takes(60 * SECOND).await).name("hangs").timeout(300 * MS);
    app.timer(SECOND, async || Err::<(), _>(runnel::inaction("no orders"))).name("idles");
    let shop = TestApp::at(START, app).await;

    shop.advance_to("2026-01-01T00:00:01.900Z").await;
    shop.until_idle().await;

    for (task, action, status, text) in [
        ("fails", Action::Fail, Status::Fail, "cannot reach the shop: no network"),
        ("hangs", Action::Terminate, Status::Terminated, "300ms"),
        ("idles", Action::Inaction, Status::Inaction, "no orders"),
    ] {
        let lines = lines(&shop, task).await;
        assert_eq!(actions(&lines), [Action::Run, action], "{task}");
        let end = &lines[1];
        let told = format!("{} {}", end.message, end.exc_text.as_deref().unwrap_or_default());
        assert!(told.contains(text), "{task}: {told}");
        assert!(end.end.is_some() && end.runtime.is_some());
        assert_eq!(status_of(&shop, end).await, status);
    }
    let state = shop.app().task_log_of("fails").state().await.unwrap();
    assert_eq!((state.status, state.fails_in_row, state.running.len()), (Status::Fail, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_drain_cuts_short_is_terminated() {
    let mut app = App::bare("shop");
    app.timer(10 * SECOND, async || takes(100 * SECOND).await).name("long");
    let mut shop = TestApp::at(START, app).await;
    shop.advance_to("2026-01-01T00:00:11Z").await;

    shop.worker("worker-1").drain().await.unwrap();
    shop.add_worker("worker-2").await;
    shop.advance(SECOND).await;
    shop.until_idle().await;

    assert_eq!(actions(&lines(&shop, "long").await), [Action::Run, Action::Terminate]);
}

/// A lease, one look of the leader, and two seconds.
const FOUND_WITHIN: Duration = Duration::from_secs(10 + 4 * 4 + 2);

#[tokio::test(start_paused = true)]
async fn a_run_of_a_killed_worker_crashes_exactly_once_and_those_that_had_ended_do_not() {
    for kills_the_leader in [false, true] {
        let mut app = App::bare("shop");
        app.timer(10 * SECOND, async || takes(4 * SECOND).await).name("ping");
        app.processor(&orders(), async |_: Order| ()).name("billing");
        let mut shop = three_workers(START, app).await;
        shop.advance_to("2026-01-01T00:00:22Z").await;
        let leader = shop.leader().await.expect("one of them leads");
        let mut names = shop.workers().iter().map(|worker| worker.name().to_owned());
        let victim = names.find(|name| (*name == leader) == kills_the_leader).expect("there are three");

        shop.crash(&victim);
        shop.advance(120 * SECOND).await;
        shop.drain().await.into_iter().for_each(|end| end.unwrap());
        shop.add_worker("worker-4").await;
        shop.advance(SECOND).await;
        shop.until_idle().await;

        let all = lines(&shop, "ping").await;
        let (killed, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|line| line.worker_id == victim);
        assert_eq!(actions(&killed), [Action::Run, Action::Success, Action::Run, Action::Crash]);
        let (begin, crash) = (&killed[2], &killed[3]);
        assert_eq!((&crash.run_id, crash.start), (&begin.run_id, begin.start));
        assert!(crash.runtime.is_none() && crash.message.contains(&victim), "{crash:?}");
        let found = crash.end.expect("it says when it was found") - at("2026-01-01T00:00:22Z");
        assert!(found.to_std().is_ok_and(|found| found <= FOUND_WITHIN), "found after {found}");
        assert_eq!(status_of(&shop, crash).await, Status::Crashed);
        assert_eq!(status_of(&shop, &killed[0]).await, Status::Success);
        assert!(ends(&others).len() >= 2 * 12, "the others go on");
        assert!(ends(&others).values().all(|ends| ends.len() == 1 && ends[0] != Action::Crash), "{others:?}");
        // So it is with the tenancies that it had.
        let tenancies = lines(&shop, "billing").await;
        let had: Vec<_> = tenancies.into_iter().filter(|line| line.worker_id == victim).collect();
        assert!(!had.is_empty() && ends(&had).values().all(|ends| ends.len() == 1), "{had:?}");
        assert!(had.iter().any(|line| line.action == Action::Crash));
    }
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_paused_adds_no_success_to_a_run_that_was_found_crashed() {
    let mut app = App::bare("shop");
    app.timer(60 * SECOND, async || takes(30 * SECOND).await).name("slow");
    let mut shop = three_workers(START, app).await;
    shop.advance_to("2026-01-01T00:01:10Z").await;

    shop.worker("worker-2").pause(true);
    shop.advance(100 * SECOND).await;
    shop.worker("worker-2").pause(false);
    shop.advance(5 * SECOND).await;
    shop.until_idle().await;

    let all = lines(&shop, "slow").await;
    let first = all.iter().find(|line| line.worker_id == "worker-2").expect("it ran there").run_id.clone();
    let of_it: Vec<_> = all.into_iter().filter(|line| line.run_id == first).collect();
    assert_eq!(actions(&of_it), [Action::Run, Action::Crash]);
    assert_eq!(status_of(&shop, &of_it[0]).await, Status::Crashed);
}

#[tokio::test(start_paused = true)]
async fn a_long_run_on_a_worker_that_lives_never_crashes() {
    let mut app = App::bare("shop");
    app.task(async || takes(4_000 * SECOND).await).name("long");
    let mut shop = TestApp::at(START, app).await;
    shop.add_worker("worker-2").await;

    shop.advance(3_000 * SECOND).await;
    let running = shop.app().task_log_of("long").state().await.unwrap().running;
    shop.advance(1_100 * SECOND).await;
    shop.until_idle().await;

    assert_eq!(running.len(), 2);
    assert!(ends(&lines(&shop, "long").await).values().all(|ends| *ends == [Action::Success]));
}

#[tokio::test(start_paused = true)]
async fn projecting_everything_again_changes_nothing() {
    let mut app = App::bare("shop");
    app.timer(SECOND, async || ()).name("ping");
    app.timer(SECOND, async || Err::<(), _>(runnel::Error::from("no network"))).name("fails");
    let shop = TestApp::at(START, app).await;
    shop.advance_to("2026-01-01T00:00:20.500Z").await;
    shop.pause_job("ping", true).await;
    shop.pause_job("fails", true).await;
    shop.advance(10 * SECOND).await;
    shop.until_idle().await;
    let documents = async || {
        let page = shop.app().run_logs().get_run_logs(&RunLogQuery::new().limit(1000)).await.unwrap();
        let mut full = Vec::new();
        for header in page.items {
            full.push(shop.app().run_logs().get(&header.run_id).await.unwrap());
        }
        full
    };
    let (before, lines_before) = (documents().await, shop.app().task_log().all().all().await.unwrap());

    for partition in (0..16).map(Partition) {
        shop.intervene("__runlog", partition, Intervention::Reset(Start::Beginning)).await;
    }
    shop.advance(60 * SECOND).await;
    shop.until_idle().await;

    assert!(before.len() >= 40, "{}", before.len());
    assert_eq!(documents().await, before);
    assert_eq!(shop.app().task_log().all().all().await.unwrap(), lines_before);
}

#[tokio::test(start_paused = true)]
async fn without_a_task_log_there_is_nothing_to_ask() {
    let mut app = App::bare("shop").setting("task_log_policy", "off");
    app.timer(SECOND, async || ()).name("ping");
    let shop = TestApp::at(START, app).await;

    shop.advance(5 * SECOND).await;
    shop.until_idle().await;

    assert!(shop.fired("ping").len() >= 4);
    assert!(lines(&shop, "ping").await.is_empty());
    assert!(shop.memory().snapshot().partitions.is_empty(), "no stream is declared");
}

#[tokio::test(start_paused = true)]
async fn what_ended_long_ago_is_removed_with_its_lines_and_what_runs_is_not() {
    let kept = runnel::runs::MemoryStore::new().retention(3 * 3600 * SECOND);
    let mut app = App::bare("shop").run_logs_in(runnel::runs::Stores::both(kept));
    app.task(async || takes(20 * 3600 * SECOND).await).name("long");
    app.crontab("0 0 * * *", async || ()).name("nightly");
    let shop = TestApp::at("2026-01-01T23:59:50Z", app).await;
    shop.advance(60 * SECOND).await;
    shop.until_idle().await;
    assert_eq!(lines(&shop, "nightly").await.len(), 2);

    shop.advance(3600 * SECOND).await;
    assert_eq!(lines(&shop, "nightly").await.len(), 2, "it is kept that long");
    shop.advance(4 * 3600 * SECOND).await;

    assert!(lines(&shop, "nightly").await.is_empty());
    let left = shop.app().run_logs().get_run_logs(&RunLogQuery::new()).await.unwrap().items;
    let left: Vec<_> = left.iter().map(|log| (&*log.task_name, log.status)).collect();
    assert_eq!(left, [("long", Status::Processing)]);
    assert_eq!(lines(&shop, "long").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn runs_have_the_ids_that_the_app_makes() {
    let numbered = std::sync::atomic::AtomicU32::new(0);
    let mut app = App::bare("shop").run_id(move |task, _| match task {
        "ping" => format!("ping-{}", numbered.fetch_add(1, std::sync::atomic::Ordering::SeqCst)),
        _ => "no id".into(),
    });
    app.timer(SECOND, async || ()).name("ping");
    app.timer(SECOND, async || ()).name("pong");
    let shop = TestApp::at(START, app).await;

    shop.advance_to("2026-01-01T00:00:02.500Z").await;
    shop.until_idle().await;

    let ids: Vec<_> = ends(&lines(&shop, "ping").await).keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["ping-0", "ping-1"]);
    assert_eq!(ends(&lines(&shop, "pong").await).len(), 2, "others get fresh ones");
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_the_store_nobody_who_lives_is_taken_for_dead() {
    let mut app = App::bare("shop");
    app.task(async || takes(300 * SECOND).await).name("long");
    let mut shop = three_workers(START, app).await;
    shop.advance(20 * SECOND).await;

    for outage in [11, 15, 40] {
        let all_lost = Faults { lost_requests: 1.0, ..Faults::default() };
        shop.workers().iter().for_each(|worker| worker.link().set_faults(all_lost.clone()));
        shop.advance(outage * SECOND).await;
        // One comes back before the others, leads, and hears of nobody else.
        for worker in shop.workers() {
            worker.link().set_faults(Faults::default());
            shop.advance(3 * SECOND).await;
        }
        shop.advance(30 * SECOND).await;
        assert_eq!(actions(&lines(&shop, "long").await), [Action::Run; 3], "after an outage of {outage} s");
    }

    let dead = shop.workers()[2].name().to_owned();
    shop.crash(&dead);
    shop.advance(40 * SECOND).await;
    let crashes = lines(&shop, "long").await.split_off(3);
    assert_eq!(
        crashes.iter().map(|line| (line.action, line.worker_id.clone())).collect::<Vec<_>>(),
        [(Action::Crash, dead)]
    );
}
