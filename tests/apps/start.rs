//! What is refused before anything starts, and in which words.

use runnel::Failure;
use runnel::broker::memory::{Fault, Faults, Operation};
use runnel::prelude::*;
use runnel::testing::TestApp;

use crate::shop::SECOND;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    n: u32,
}

struct Pool;

fn orders() -> Stream<Order> {
    Stream::new("orders", |o: &Order| o.n.into())
}

/// What a worker of this app says instead of starting.
async fn refusal(app: App) -> String {
    let connected = app.redis("memory://").connect().await;
    match connected {
        Ok(connected) => connected.work_until(std::future::ready(())).await.unwrap_err().to_string(),
        Err(failure) => failure.to_string(),
    }
}

#[tokio::test]
async fn an_app_with_nothing_to_run_is_told_how_handlers_are_lost() {
    let told = refusal(App::bare("shop")).await;

    assert!(told.contains("`shop` has nothing to run") && told.contains("use my_handlers as _;"), "{told}");
}

#[tokio::test]
async fn two_processors_of_one_name_are_named_with_both_places() {
    let mut app = App::bare("shop");
    app.processor(&orders(), async |_: Order| {}).name("billing");
    app.processor(&orders(), async |_: Order| {}).name("billing");

    let told = refusal(app).await;

    assert!(told.contains("two processors are named `billing`"), "{told}");
    assert_eq!(told.matches("start.rs:").count(), 2, "{told}");
}

#[tokio::test]
async fn a_closure_needs_a_name_and_a_function_has_one() {
    async fn billing(_: Order) {}
    let mut app = App::bare("shop");
    app.processor(&orders(), async |_: Order| {});
    let told = refusal(app).await;
    assert!(told.contains("has no name: add .name(\"..\")"), "{told}");

    let mut app = App::bare("shop").redis("memory://");
    app.processor(&orders(), billing);
    app.connect().await.unwrap().work_until(std::future::ready(())).await.unwrap();
}

#[tokio::test]
async fn a_state_that_nobody_gives_is_asked_for_by_its_type() {
    let mut app = App::bare("shop");
    app.processor(&orders(), async |_: Order, _: State<Pool>| {}).name("billing");

    let told = refusal(app).await;

    assert!(told.contains("`billing`") && told.contains("Pool") && told.contains("App::state"), "{told}");
}

#[tokio::test]
async fn a_state_that_cannot_be_made_ends_the_start_with_its_reason() {
    let mut app = App::bare("shop").state_with(async |_| Err::<Pool, _>(runnel::Error::from("no such host")));
    app.processor(&orders(), async |_: Order, _: State<Pool>| {}).name("billing");

    let failure = app.redis("memory://").connect().await.unwrap().work_until(std::future::pending()).await.unwrap_err();

    let cause = std::error::Error::source(&failure).map(ToString::to_string);
    assert!(failure.to_string().contains("Pool"), "{failure}");
    assert_eq!(cause.as_deref(), Some("no such host"));
}

#[tokio::test]
async fn a_name_that_cannot_be_part_of_a_key_is_refused() {
    let told = refusal(App::bare("sh.op")).await;

    assert!(told.contains("`sh.op` cannot be the name of an app"), "{told}");
}

#[tokio::test]
async fn a_stream_that_is_declared_in_two_ways_is_refused() {
    let mut app = App::bare("shop");
    app.processor(&orders(), async |_: Order| {}).name("billing");
    app.processor(&orders().partition_size(7), async |_: Order| {}).name("printer");

    let told = refusal(app).await;

    assert!(told.contains("stream `orders` is declared twice, and not in the same way"), "{told}");
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let mut app = App::bare("shop");
    app.processor(&orders(), async |_: Order| {}).name("bil:ling").lock_expiry(Duration::from_millis(1));
    app.processor(&orders(), async |_: Vec<Order>| {}).name("warehouse");

    let told = refusal(app).await;

    for part in ["3 things are wrong", "bil:ling", "`lock_expiry` (1ms) must be at least 500 ms", "`batch = 500`"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}

#[tokio::test]
async fn a_static_stream_without_an_app_says_where_it_can_be_used() {
    let failure = orders().send(Order { n: 1 }).await.unwrap_err();

    assert!(failure.to_string().contains("no app is running here"), "{failure}");
    assert!(failure.to_string().contains("runnel::spawn"), "{failure}");
}

#[tokio::test]
async fn everything_that_is_wrong_with_jobs_is_told_at_once_with_their_places() {
    let ms = Duration::from_millis;
    let mut app = App::bare("shop").setting("timezone", "Europe/Berlin");
    app.timer(ms(10), async || ());
    app.timer(Duration::from_micros(10), async || ()).name("too_fast");
    app.timer(ms(10), async || ()).name("shaky").jitter(ms(11));
    app.crontab("61 * * * *", async || ()).name("no_minute");
    app.crontab("* * * * *", async || ()).name("nowhere").timezone("Europe/Londn");
    app.crontab("62 * * * *", async || ()).name("no_time_and_place").timezone("Atlantis");
    app.crontab("* * * * *", async || ()).name("none_missed").missed(runnel::Missed::All(0));
    app.crontab("* * * * *", async || ()).name("all_missed").missed(runnel::Missed::All(1001));
    app.crontab("* * * * *", async || ()).name("alone").delivery(runnel::Delivery::AtLeastOnce);
    app.crontab("* * * * *", async || ()).name("punctual").max_lateness(Duration::ZERO);
    app.task(async || ()).name("a:b");
    app.task(async || ()).name("jittery").jitter(ms(1));
    app.task(async || ()).name("twice");
    app.processor(&orders(), async |_: Order| {}).name("twice");

    let told = refusal(app).await;

    for part in [
        "timer at tests/apps/start.rs:",
        "has no name: add .name(\"..\")",
        "timer `too_fast` (tests/apps/start.rs:",
        "at least one",
        "its jitter (11ms) is longer than its interval (10ms)",
        "crontab `no_minute`",
        "61",
        "crontab `nowhere`",
        "Europe/London",
        "`62 * * * *` is no crontab",
        "`Atlantis` is no time zone",
        "its missed is all(0): it must be from 1 to 1000",
        "its missed is all(1001)",
        "crontab `alone`",
        "delivery at least once is for crontabs on the leader",
        "crontab `punctual`",
        "its max_lateness is 0",
        "`a:b` cannot be the name of a job",
        "`jitter` is for timers",
        "a processor and a task are both named `twice`",
    ] {
        assert!(told.contains(part), "{part}\nin\n{told}");
    }
    assert!(told.starts_with("14 things are wrong"), "{told}");
}

#[tokio::test]
async fn a_job_on_demand_without_a_proper_name_is_not_run_in_the_folders_of_others() {
    let place = tempfile::tempdir().unwrap();
    let folders = place.path().join("jobs");
    std::fs::create_dir_all(folders.join("ingest")).unwrap();

    for name in ["", ".."] {
        let mut app = App::bare("shop").redis("memory://");
        app.on_demand(async || ()).name(name).run_from_clean_folder();
        let refused = app.job_named(name).work_dir(&folders).run(()).await.unwrap_err();
        assert!(matches!(&refused, Failure::Invalid(why) if why.contains("name")), "{refused}");
    }

    assert!(folders.join("ingest").exists());
}

/// An app with a task, whose only worker meets this when it starts.
async fn starting(trouble: impl Fn(&runnel::testing::TestWorker)) -> TestApp {
    let mut app = App::bare("shop");
    app.task(async || ()).name("warm_up");
    let mut shop = TestApp::without_workers(app).await;
    trouble(shop.add_worker("worker-1").await);
    shop
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_while_a_worker_starts_is_asked_for_again() {
    for operation in [Operation::Enroll, Operation::Tell, Operation::Look] {
        let shop = starting(|worker| worker.link().next_fault(operation, Fault::LostReply)).await;

        shop.advance(10 * SECOND).await;

        assert_eq!(shop.fired("warm_up").len(), 1, "{operation:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_while_a_worker_starts_is_waited_for_within_reason() {
    let nobody_answers = || Faults { lost_requests: 1.0, ..Faults::default() };
    let mut shop = starting(|worker| worker.link().set_faults(nobody_answers())).await;
    shop.advance(20 * SECOND).await;
    assert!(!shop.worker("worker-1").has_ended());
    shop.worker("worker-1").link().set_faults(Faults::default());
    shop.advance(10 * SECOND).await;
    assert_eq!(shop.fired("warm_up").len(), 1);

    let mut shop = starting(|worker| worker.link().set_faults(nobody_answers())).await;
    shop.advance(60 * SECOND).await;
    assert!(shop.worker("worker-1").has_ended());
    let failure = shop.worker("worker-1").ended().await.unwrap_err();
    assert!(matches!(&failure, Failure::Broker { doing, .. } if doing.contains("join the fleet")), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_for_its_states_can_be_told_to_drain() {
    let mut app = App::bare("shop").state_with(async |_| std::future::pending::<Result<Pool>>().await);
    app.task(async |_: State<Pool>| ()).name("warm_up");
    let mut shop = TestApp::start(app).await;
    shop.advance(SECOND).await;

    shop.worker("worker-1").tell_to_drain();
    shop.advance(SECOND).await;

    assert!(shop.worker("worker-1").has_ended());
    shop.worker("worker-1").ended().await.unwrap();
}
