//! The main job: what was sent is processed once, in order per key, and policies do what they say.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use runnel::prelude::*;
use runnel::testing::TestApp;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: String,
    n: u32,
}

fn order(customer: &str, n: u32) -> Order {
    Order { customer: customer.into(), n }
}

fn orders() -> Stream<Order> {
    Stream::new("orders", |o: &Order| (&o.customer).into()).partitions(4)
}

type Log = Arc<Mutex<Vec<Order>>>;

/// A processor that notes what it is given.
fn noting(log: &Log) -> impl Fn(Order) -> std::future::Ready<Result> + Send + Sync + 'static {
    let log = log.clone();
    move |order| {
        log.lock().unwrap().push(order);
        std::future::ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_processed_once_and_in_order_per_key() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    app.processor(&orders, noting(&log)).name("noter");
    let shop = TestApp::start(app).await;

    let sent: Vec<_> = (0..200).map(|n| order(["a", "b", "c", "d", "e"][n as usize % 5], n)).collect();
    shop.send_all(&orders, sent.clone()).await;
    shop.until_idle().await;

    let seen = log.lock().unwrap().clone();
    assert_eq!(seen.len(), 200);
    for customer in ["a", "b", "c", "d", "e"] {
        let of = |all: &[Order]| all.iter().filter(|o| o.customer == customer).cloned().collect::<Vec<_>>();
        assert_eq!(of(&seen), of(&sent));
    }
}

#[tokio::test(start_paused = true)]
async fn several_workers_share_the_partitions() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    app.processor(&orders, noting(&log)).name("noter");
    let mut shop = TestApp::start(app).await;
    shop.add_worker("worker-2").await;
    shop.advance(Duration::from_secs(2)).await;

    shop.send_all(&orders, (0..400).map(|n| order(&n.to_string(), n))).await;
    shop.until_idle().await;

    assert_eq!(log.lock().unwrap().len(), 400);
    let mut by_worker = std::collections::BTreeMap::<_, std::collections::BTreeSet<_>>::new();
    for seen in shop.seen() {
        by_worker.entry(seen.worker.to_string()).or_default().insert(seen.partition);
    }
    assert_eq!(by_worker.values().map(|p| p.len()).collect::<Vec<_>>(), [2, 2], "{by_worker:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_others_go_on_within_the_lock_expiry_and_three_and_a_half_seconds() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    app.processor(&orders, noting(&log)).name("noter");
    let mut shop = TestApp::start(app).await;
    shop.add_worker("worker-2").await;
    shop.advance(Duration::from_secs(30)).await;

    shop.crash("worker-1");
    shop.send_all(&orders, (0..100).map(|n| order(&n.to_string(), n))).await;
    let before = runnel::clock::now();
    shop.until_idle().await;

    let took = runnel::clock::now().since(before);
    assert!(took < Duration::from_millis(13_500), "{took:?}");
    assert_eq!(log.lock().unwrap().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_hands_over_within_half_a_second_and_repeats_nothing() {
    let (orders, log) = (orders(), Log::default());
    let mut app = App::bare("shop");
    app.processor(&orders, noting(&log)).name("noter");
    let mut shop = TestApp::start(app).await;
    shop.add_worker("worker-2").await;
    shop.advance(Duration::from_secs(30)).await;
    shop.send_all(&orders, (0..100).map(|n| order(&n.to_string(), n))).await;

    shop.worker("worker-1").tell_to_drain();
    shop.send_all(&orders, (100..200).map(|n| order(&n.to_string(), n))).await;
    let before = runnel::clock::now();
    shop.until_idle().await;

    let took = runnel::clock::now().since(before);
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!(log.lock().unwrap().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_is_retried_in_place_and_then_halts_its_worker() {
    let orders = orders();
    let tries = Arc::new(AtomicU32::new(0));
    let mut app = App::bare("shop");
    let counted = tries.clone();
    app.processor(&orders, move |order: Order| {
        let tries = counted.clone();
        async move {
            if order.n == 3 {
                tries.fetch_add(1, Ordering::SeqCst);
                return Err(runnel::Error::from("no stock"));
            }
            Ok(())
        }
    })
    .name("billing")
    .retry(4, Duration::from_millis(200), Duration::from_secs(1));
    let mut shop = TestApp::start(app).await;

    let ids = shop.send_all(&orders, (0..6).map(|n| order("a", n))).await;
    let ended = shop.worker("worker-1").ended().await;

    let failure = ended.unwrap_err().to_string();
    assert!(
        failure.contains("`billing`") && failure.contains("no stock") && failure.contains(&ids[3].to_string()),
        "{failure}"
    );
    assert_eq!(tries.load(Ordering::SeqCst), 4);
    let halted: Vec<_> = shop.halted("billing").await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(halted, [ids[3]]);
    assert_eq!(shop.settled("billing").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn quarantine_stops_one_partition_and_ignore_goes_on() {
    let orders = orders();
    let fail_on_a = async |order: Order| match order.customer.as_str() {
        "a" => Err(runnel::Error::from("not a")),
        _ => Ok(()),
    };
    let mut app = App::bare("shop");
    app.processor(&orders, fail_on_a).name("strict").exception_policy(ExceptionPolicy::Quarantine);
    app.processor(&orders, fail_on_a).name("easy").exception_policy(ExceptionPolicy::Ignore);
    let shop = TestApp::start(app).await;

    shop.send_all(&orders, (0..40).map(|n| order(["a", "b", "c", "d"][n as usize % 4], n))).await;
    shop.until_idle().await;

    assert_eq!(shop.quarantined("strict").await.len(), 1);
    assert_eq!(shop.ignored("easy").len(), 10);
    assert_eq!(shop.settled("easy").len(), 30);
}

#[tokio::test(start_paused = true)]
async fn an_event_loop_keeps_its_state_and_settles_one_by_one() {
    let orders = orders();
    let totals = Arc::new(Mutex::new(Vec::new()));
    let mut app = App::bare("shop");
    let out = totals.clone();
    app.event_loop(&orders, move |events: &mut Events<Order>| {
        let out = out.clone();
        Box::pin(async move {
            let mut total = 0;
            while let Some(order) = events.next().await? {
                total += order.n;
                out.lock().unwrap().push(total);
            }
            Ok(())
        })
    })
    .name("totals");
    let mut shop = TestApp::start(app).await;

    shop.send_all(&orders, (1..=4).map(|n| order("a", n))).await;
    shop.advance(Duration::from_secs(1)).await;
    shop.drain().await.into_iter().for_each(|end| end.unwrap());

    assert_eq!(*totals.lock().unwrap(), [1, 3, 6, 10]);
    assert_eq!(shop.settled("totals").len(), 4, "the last one is settled when the loop ends");
}

#[tokio::test(start_paused = true)]
async fn batches_fill_up_or_go_after_their_time() {
    let orders = orders();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let mut app = App::bare("shop");
    let out = sizes.clone();
    app.processor(&orders, move |orders: Vec<Order>| {
        out.lock().unwrap().push(orders.len());
        async { Ok::<_, runnel::Error>(()) }
    })
    .name("warehouse")
    .batch(100, Duration::from_secs(2));
    let shop = TestApp::start(app).await;

    shop.send_all(&orders, (0..250).map(|n| order("a", n))).await;
    shop.until_idle().await;

    assert_eq!(*sizes.lock().unwrap(), [100, 100, 50]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_like_any_other() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |order: Order| assert!(order.n != 1, "boom {}", order.n))
        .name("shaky")
        .exception_policy(ExceptionPolicy::Ignore);
    let shop = TestApp::start(app).await;

    shop.send_all(&orders, (0..3).map(|n| order("a", n))).await;
    shop.until_idle().await;

    let failed = shop.failed("shaky");
    assert_eq!(failed.len(), 1);
    assert!(failed[0].1.contains("panicked: boom 1"), "{failed:?}");
    assert_eq!(shop.settled("shaky").len(), 2);
}
