//! What operators do: pause, resume, skip, reset; and that nothing else stops a partition.

use runnel::broker::memory::{Fault, Faults, Operation};
use runnel::broker::{Broker, Intervention, Source, Start, Stop, StopKind};
use runnel::prelude::*;
use runnel::testing::{TestApp, takes};

use super::shop::{MS, Order, SECOND, eventually, order, orders, orders_of_one, starts};

/// An app in which the fourth order fails, for as long as it is not the second try of a new owner.
async fn with_a_bad_order() -> (TestApp, Stream<Order>, Vec<EventId>, Partition) {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |order: Order| match order.n {
        3 => Err(runnel::Error::from("no stock")),
        _ => Ok(()),
    })
    .name("billing")
    .exception_policy(ExceptionPolicy::Quarantine);
    let shop = TestApp::start(app).await;
    let ids = shop.send_all(&orders, orders_of_one(6)).await;
    shop.until_idle().await;
    let quarantined = shop.quarantined("billing").await;
    let (partition, at) = *quarantined.first().expect("it fails");
    assert_eq!(at, ids[3]);
    (shop, orders, ids, partition)
}

#[tokio::test(start_paused = true)]
async fn a_resumed_partition_tries_its_event_again() {
    let (shop, _, ids, partition) = with_a_bad_order().await;

    shop.intervene("billing", partition, Intervention::Resume).await;
    eventually(&shop, "another try", |shop| starts(shop, ids[3]).len() == 2).await;
    shop.until_idle().await;

    assert_eq!(shop.quarantined("billing").await.len(), 1, "it fails again");
    assert_eq!(shop.settled("billing").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_event_is_passed_and_the_others_go_on() {
    let (shop, _, ids, partition) = with_a_bad_order().await;

    let position = shop.intervene("billing", partition, Intervention::Skip).await;
    shop.until_idle().await;

    assert_eq!(position, ids[3]);
    let settled: Vec<_> = shop.settled("billing").into_iter().map(|(_, id)| id).collect();
    assert_eq!(settled, [ids[0], ids[1], ids[2], ids[4], ids[5]]);
    assert!(shop.quarantined("billing").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_paused_partition_waits_until_it_is_resumed() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {}).name("billing");
    let shop = TestApp::start(app).await;
    shop.send_all(&orders, orders_of_one(3)).await;
    shop.until_idle().await;
    let (partition, _) = shop.settled("billing")[0];

    shop.intervene("billing", partition, Intervention::Pause).await;
    // Until its next renewal at the latest, the owner does not know.
    shop.advance(10 * SECOND).await;
    shop.send_all(&orders, orders_of_one(3)).await;
    shop.advance(60 * SECOND).await;
    assert_eq!(shop.settled("billing").len(), 3);

    shop.intervene("billing", partition, Intervention::Resume).await;
    shop.until_idle().await;
    assert_eq!(shop.settled("billing").len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_reset_is_processed_again_from_there() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {}).name("billing");
    let shop = TestApp::start(app).await;
    let ids = shop.send_all(&orders, orders_of_one(4)).await;
    shop.until_idle().await;
    let (partition, _) = shop.settled("billing")[0];

    shop.intervene("billing", partition, Intervention::Reset(Start::After(ids[1]))).await;
    shop.until_idle().await;

    let again: Vec<_> = shop.settled("billing").into_iter().skip(4).map(|(_, id)| id).collect();
    assert_eq!(again, [ids[2], ids[3]]);
}

/// Tells the group that a partition is stopped, which it is not: a word that was long on its way.
async fn say_falsely_that_it_is_stopped(shop: &TestApp, partition: Partition) {
    let place = shop.place("billing", partition).await;
    let stop = Stop { kind: StopKind::Quarantined, at: EventId::new(1, 0), error: "long ago".into(), since: 1 };
    shop.memory().connect().note_stopped(&place.group, partition, Some(&stop)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_word_of_a_stop_does_not_keep_a_partition_from_everybody() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {}).name("billing");
    let mut shop = TestApp::without_workers(app).await;
    for partition in 0..4 {
        say_falsely_that_it_is_stopped(&shop, Partition(partition)).await;
    }
    shop.add_worker("worker-1").await;
    shop.send_all(&orders, orders_of_one(3)).await;
    eventually(&shop, "it is looked at", |shop| shop.settled("billing").len() == 3).await;

    let (partition, _) = shop.settled("billing")[0];
    say_falsely_that_it_is_stopped(&shop, partition).await;
    shop.advance(10 * SECOND).await;
    shop.send_all(&orders, orders_of_one(3)).await;
    shop.advance(SECOND).await;

    assert_eq!(shop.settled("billing").len(), 6, "its owner knows better");
}

/// How often the group of a processor was called together so far, the last 256 times of it.
async fn rings(shop: &TestApp, processor: &str) -> usize {
    let group = shop.place(processor, Partition(0)).await.group;
    shop.memory().connect().read(&Source::Bell(group), EventId::ZERO, 256, false).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_a_paused_partition_does_not_argue_with_the_worker_that_is_to_have_it() {
    // One worker is busy with every partition, and another one has come to take some of them over.
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| takes(8 * SECOND).await).name("billing");
    let mut shop = TestApp::start(app).await;
    shop.send_all(&orders, ["a", "b", "c", "d", "e", "f", "g", "h"].map(|customer| order(customer, 1))).await;
    eventually(&shop, "it works on every partition", |shop| shop.seen().len() == 4).await;
    shop.add_worker("worker-2").await;
    // An argument takes time, else the clock would stand still over it.
    for worker in shop.workers() {
        worker.link().set_faults(Faults { delay: MS..=MS, ..Faults::default() });
    }
    shop.advance(100 * MS).await;
    let before = rings(&shop, "billing").await;

    for partition in 0..4 {
        shop.intervene("billing", Partition(partition), Intervention::Pause).await;
    }
    shop.advance(2 * SECOND).await;

    // A few for each pause, since several are told of it before they have heard of one another. An argument would fill
    // all of the bell.
    let after = rings(&shop, "billing").await;
    assert!(after - before <= 4 * 6, "{} calls for 4 pauses", after - before);
    for partition in 0..4 {
        shop.intervene("billing", Partition(partition), Intervention::Resume).await;
    }
    shop.until_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_not_answered_says_once_that_a_partition_is_stopped() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {}).name("billing");
    let mut shop = TestApp::start(app).await;
    shop.advance(SECOND).await;
    let link = shop.worker("worker-1").link().clone();
    link.set_faults(Faults { delay: MS..=MS, ..Faults::default() });
    (0..30).for_each(|_| link.next_fault(Operation::Beat, Fault::LostRequest));
    let before = rings(&shop, "billing").await;

    shop.intervene("billing", Partition(0), Intervention::Pause).await;
    // It finds out with its next renewal, and hears of nothing else.
    shop.advance(8 * SECOND).await;

    let after = rings(&shop, "billing").await;
    assert!(after - before <= 3, "{} calls for 1 pause", after - before);
}
