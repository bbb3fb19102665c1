//! The testing kit itself: faults in plain words, records that were sent, and what a test is told that waits in vain.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use runnel::prelude::*;
use runnel::testing::{Operation, TestApp, takes};

use super::shop::{MS, Order, SECOND, order};

/// A stream of one partition, and an app to process it.
fn one_lane() -> (Stream<Order>, App) {
    (Stream::new("orders", |o: &Order| (&o.customer).into()).partitions(1), App::bare("shop"))
}

/// What a test is told whose app is not idle after two seconds.
async fn told(shop: &TestApp) -> String {
    let given_up = AssertUnwindSafe(shop.until_idle_within(2 * SECOND)).catch_unwind().await;
    *given_up.expect_err("it is not idle").downcast::<String>().expect("it panics with a text")
}

#[track_caller]
fn assert_says(told: &str, what: &str) {
    assert!(told.contains(what), "`{what}` is missing in:\n{told}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_which_event_is_in_hand_and_as_which_try() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order, context: Context| match context.attempt() {
        1 => Err(runnel::Error::from("no stock")),
        _ => {
            takes(100 * SECOND).await;
            Ok(())
        }
    })
    .name("billing")
    .retry(3, 10 * MS, 10 * MS);
    let shop = TestApp::start(app).await;
    let ids = shop.send_all(&orders, [order("a", 0), order("a", 1)]).await;

    let told = told(&shop).await;

    assert_says(&told, "not idle after 2s");
    assert_says(
        &told,
        &format!("processor `billing`, partition 0 of stream `orders`: settled up to 0-0 of {}", ids[1]),
    );
    assert_says(&told, &format!("`worker-1` has {} in hand, try 2", ids[0]));
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_what_failed_and_is_tried_again() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| Err::<(), _>(runnel::Error::from("no stock"))).name("billing").retry(
        3,
        100 * SECOND,
        100 * SECOND,
    );
    let shop = TestApp::start(app).await;
    let id = shop.send(&orders, order("a", 0)).await;

    assert_says(&told(&shop).await, &format!("`worker-1` waits to try {id} again: no stock"));
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_what_is_stopped_and_not_waited_for() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| Err::<(), _>(runnel::Error::from("no stock")))
        .name("billing")
        .exception_policy(ExceptionPolicy::Quarantine);
    app.processor(&orders, async |_: Order| takes(100 * SECOND).await).name("printer");
    let shop = TestApp::start(app).await;
    let id = shop.send(&orders, order("a", 0)).await;

    let told = told(&shop).await;

    assert_says(&told, "stopped, and not waited for:");
    assert_says(&told, &format!("processor `billing`, partition 0 of stream `orders`: quarantined at {id}: no stock"));
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_that_nobody_works() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| {}).name("billing");
    let shop = TestApp::without_workers(app).await;
    shop.send(&orders, order("a", 0)).await;

    let told = told(&shop).await;

    assert_says(&told, "nobody owns it");
    assert_says(&told, "no worker is at work");
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_that_the_owner_is_gone_or_paused() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| takes(SECOND).await).name("billing");
    let mut shop = TestApp::start(app).await;
    shop.send(&orders, order("a", 0)).await;
    shop.advance(500 * MS).await;

    shop.worker("worker-1").pause(true);
    assert_says(&told(&shop).await, "paused by the test: `worker-1`");
    shop.crash("worker-1");
    assert_says(&told(&shop).await, "`worker-1` owns it, which is gone");
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_which_jobs_run() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| takes(100 * SECOND).await).name("billing");
    app.task(async || takes(100 * SECOND).await).name("migrate");
    app.task(async || {}).name("greet");
    let shop = TestApp::start(app).await;
    shop.send(&orders, order("a", 0)).await;

    let told = told(&shop).await;

    assert_says(&told, "  `migrate` on `worker-1` since ");
    assert!(!told.contains("greet"), "it has ended:\n{told}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_a_commit_holds_its_partition_up_and_settles_nothing_twice() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| {}).name("billing");
    let shop = TestApp::start(app).await;
    shop.advance(SECOND).await;
    let began = runnel::clock::now();

    shop.lose_next_reply("worker-1", Operation::Commit);
    for n in 0..2 {
        shop.send(&orders, order("a", n)).await;
        shop.until_idle().await;
    }

    assert_eq!(shop.settled("billing").len(), 2);
    assert!(runnel::clock::now().since(began) >= SECOND, "the next commit waits until the first is clear");
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_slows_a_worker_down_until_it_is_quick_again() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| {}).name("billing").commit_linger(Duration::ZERO);
    let shop = TestApp::start(app).await;
    shop.advance(SECOND).await;
    let five = async || {
        let began = runnel::clock::now();
        shop.send_all(&orders, (0..5).map(|n| order("a", n))).await;
        shop.until_idle().await;
        runnel::clock::now().since(began)
    };

    shop.slow_store("worker-1", SECOND);
    let took = five().await;
    assert!(took >= 4 * SECOND, "each event waits a second for the commit of the one before: {took:?}");
    shop.slow_store("worker-1", Duration::ZERO);
    shop.advance(2 * SECOND).await;
    assert!(five().await < SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_hand_when_a_lease_is_lost_is_handled_again() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| takes(SECOND).await).name("billing");
    let shop = TestApp::start(app).await;
    let id = shop.send(&orders, order("a", 0)).await;
    shop.advance(500 * MS).await;

    shop.lose_lease("billing", Partition(0)).await;
    shop.until_idle().await;

    assert_eq!(shop.settled("billing"), [(Partition(0), id), (Partition(0), id)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_read_in_its_order_over_all_partitions() {
    let orders = super::shop::orders();
    let shop = TestApp::without_workers(App::bare("shop").with_stream(&orders)).await;

    let all: Vec<Order> = ["a", "b", "c", "d"].iter().zip(0..).map(|(customer, n)| order(customer, n)).collect();
    for order in &all {
        shop.send(&orders, order.clone()).await;
        shop.advance(MS).await;
    }

    assert_eq!(shop.sent(&orders).await, all);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the app has no processor `biling`; did you mean `billing`?")]
async fn a_misspelt_processor_is_not_one_that_never_failed() {
    let (orders, mut app) = one_lane();
    app.processor(&orders, async |_: Order| {}).name("billing");
    let shop = TestApp::start(app).await;

    assert!(shop.failed("biling").is_empty());
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the app has no job `nightyl`; did you mean `nightly`?")]
async fn a_misspelt_job_is_not_one_that_never_ran() {
    let mut app = App::bare("shop");
    app.task(async || ()).name("nightly");
    let shop = TestApp::start(app).await;

    assert!(shop.fired("nightyl").is_empty());
}
