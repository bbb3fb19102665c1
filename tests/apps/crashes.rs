//! Events that fail or kill their worker: what is counted outlives both, and only the culprit is blamed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use runnel::prelude::*;
use runnel::testing::{TestApp, takes};

use super::shop::{MS, Order, SECOND, eventually, order, orders, orders_of_one, positions_at_starts, starts};

#[tokio::test(start_paused = true)]
async fn failures_are_counted_beyond_a_crash_of_the_worker() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| Err::<(), _>(runnel::Error::from("no stock")))
        .name("billing")
        .retry(3, 20 * SECOND, 20 * SECOND)
        .exception_policy(ExceptionPolicy::Ignore);
    let mut shop = TestApp::start(app).await;
    shop.send(&orders, order("a", 1)).await;
    eventually(&shop, "a first failure", |shop| shop.failed("billing").len() == 1).await;
    shop.advance(SECOND).await;

    shop.crash("worker-1");
    shop.add_worker("worker-2").await;
    shop.until_idle().await;

    assert_eq!(shop.failed("billing").len(), 3, "one before the crash, two after it");
    assert_eq!(shop.ignored("billing").len(), 1);
}

/// An app with work in all partitions, in which the order of customer `a` with this number never ends.
fn with_a_hanging_order(n: u32) -> (App, Stream<Order>) {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, move |order: Order| {
        let hangs = order.customer == "a" && order.n == n;
        takes(if hangs { 100_000 * SECOND } else { 20 * MS })
    })
    .name("billing")
    .exception_policy(ExceptionPolicy::Ignore);
    (app, orders)
}

#[tokio::test(start_paused = true)]
async fn an_event_that_kills_its_workers_is_given_up_and_its_neighbours_are_not() {
    let (app, orders) = with_a_hanging_order(7);
    let mut shop = TestApp::without_workers(app).await;
    let culprit = shop.send_all(&orders, orders_of_one(20)).await[7];
    // Ids are unique in their partitions only.
    shop.advance(MS).await;
    let others = ["b", "c", "d", "e", "f"];
    shop.send_all(&orders, (0..100).map(|n| order(others[n as usize % 5], n))).await;

    let mut kills = 0;
    while shop.ignored("billing").is_empty() {
        kills += 1;
        assert!(kills < 10, "it was started {:?}", starts(&shop, culprit));
        let name = format!("worker-{kills}");
        shop.add_worker(&name).await;
        eventually(&shop, "another start or its end", |shop| {
            starts(shop, culprit).len() == kills || !shop.ignored("billing").is_empty()
        })
        .await;
        if shop.ignored("billing").is_empty() {
            shop.crash(&name);
        }
    }
    shop.until_idle().await;

    let given_up: Vec<_> = shop.ignored("billing").into_iter().map(|(_, id)| id).collect();
    assert_eq!(given_up, [culprit]);
    // The first crash blames nobody; the next three are counted.
    assert_eq!(starts(&shop, culprit).len(), 4);
    let failed: Vec<_> = shop.failed("billing").into_iter().map(|(_, error)| error).collect();
    assert!(failed.len() == 1 && failed[0].contains("max_crashes"), "{failed:?}");
    let handled: BTreeSet<_> = shop.settled("billing").into_iter().collect();
    assert_eq!(handled.len(), 119);
}

#[tokio::test(start_paused = true)]
async fn running_workers_leave_a_halted_partition_alone_and_a_new_one_tries_again() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |order: Order| match order.n {
        3 => Err(runnel::Error::from("no stock")),
        _ => Ok(()),
    })
    .name("billing");
    let mut shop = TestApp::start(app).await;
    shop.add_worker("worker-2").await;
    shop.advance(30 * SECOND).await;

    let ids = shop.send_all(&orders, orders_of_one(6)).await;
    eventually(&shop, "a worker halts", |shop| shop.workers().iter().any(|worker| worker.has_ended())).await;
    shop.advance(120 * SECOND).await;

    let living: Vec<_> = shop.workers().iter().filter(|w| !w.has_ended()).map(|w| w.name().to_owned()).collect();
    assert_eq!(living.len(), 1, "the other one goes on");
    assert_eq!(starts(&shop, ids[3]).len(), 1, "and does not try it");

    shop.add_worker("worker-3").await;
    eventually(&shop, "the new worker tries it", |shop| starts(shop, ids[3]).len() == 2).await;
    assert_eq!(starts(&shop, ids[3])[1].0, "worker-3");
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_fails() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |order: Order| takes(if order.n == 1 { 10 * SECOND } else { MS }).await)
        .name("billing")
        .timeout(SECOND)
        .exception_policy(ExceptionPolicy::Ignore);
    let shop = TestApp::start(app).await;

    shop.send_all(&orders, orders_of_one(3)).await;
    shop.until_idle().await;

    let failed = shop.failed("billing");
    assert!(failed.len() == 1 && failed[0].1.contains("timeout of 1s"), "{failed:?}");
    assert_eq!((shop.settled("billing").len(), shop.ignored("billing").len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn without_linger_an_event_starts_only_when_the_one_before_is_committed() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {}).name("billing").commit_linger(Duration::ZERO);
    let shop = TestApp::start(app).await;

    let ids = shop.send_all(&orders, orders_of_one(20)).await;
    shop.until_idle().await;

    let committed: Vec<_> = std::iter::once(EventId::ZERO).chain(ids.iter().copied()).take(20).collect();
    assert_eq!(positions_at_starts(&shop), ids.into_iter().zip(committed).collect::<Vec<_>>());
}

/// An app whose first order takes its time.
fn with_a_slow_first_order(orders: &Stream<Order>) -> (App, Arc<Mutex<Vec<u32>>>) {
    let handled = Arc::new(Mutex::new(Vec::new()));
    let mut app = App::bare("shop");
    let log = handled.clone();
    app.processor(orders, move |order: Order| {
        let log = log.clone();
        async move {
            takes(if order.n == 0 { 5 * SECOND } else { MS }).await;
            log.lock().unwrap().push(order.n);
        }
    })
    .name("billing");
    (app, handled)
}

#[tokio::test(start_paused = true)]
async fn what_others_acknowledged_does_not_take_the_position_past_what_they_left_pending() {
    let orders = orders();
    let (app, handled) = with_a_slow_first_order(&orders);
    let mut shop = TestApp::without_workers(app).await;
    let sent = shop.send(&orders, order("a", 0)).await;
    let rest = shop.send_all(&orders, (1..4).map(|n| order("a", n))).await;
    let partitions = shop.memory().snapshot().partitions;
    let partition = partitions.into_iter().find(|p| p.last == rest[2]).expect("all lie in one partition").partition;
    let place = shop.place("billing", partition).await;
    shop.memory().create_group(&place, EventId::ZERO);
    assert_eq!(shop.memory().read_in_group(&place, "old consumer", 3), [sent, rest[0], rest[1]]);
    shop.memory().acknowledge(&place, &[rest[0], rest[1]]);

    shop.add_worker("worker-1").await;
    shop.advance(2 * SECOND).await;
    shop.crash("worker-1");
    shop.add_worker("worker-2").await;
    shop.until_idle().await;

    assert_eq!(*handled.lock().unwrap(), [0, 3], "the pending one and the new one, after a crash as well");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_retried_with_more_events_is_settled_all_the_same() {
    let orders = orders();
    let tries = Arc::new(AtomicU32::new(0));
    let mut app = App::bare("shop");
    let counted = tries.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let tries = counted.clone();
        Box::pin(async move {
            while let Some(_orders) = events.take(10, 10 * MS).await? {
                if tries.fetch_add(1, Ordering::SeqCst) == 0 {
                    return Err("not yet".into());
                }
            }
            Ok(())
        })
    })
    .name("totals")
    .retry(2, SECOND, SECOND);
    let mut shop = TestApp::start(app).await;
    shop.send_all(&orders, orders_of_one(2)).await;
    eventually(&shop, "the batch fails", |shop| shop.failed("totals").len() == 1).await;

    shop.send_all(&orders, orders_of_one(3)).await;
    shop.advance(10 * SECOND).await;
    shop.drain().await.into_iter().for_each(|end| end.unwrap());
    shop.add_worker("worker-2").await;
    shop.until_idle().await;

    assert_eq!(shop.settled("totals").len(), 5, "nothing is processed again by the next worker");
}
