//! The main job on a real server: shared partitions, order per key, drains, crashes, and what policies and operators do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use runnel::broker::StopKind;
use runnel::prelude::*;
use runnel::{Failure, Key};

use crate::crew::{Journal, Worker};
use crate::ground::{Ground, Order, Product, order, orders};
use crate::support::eventually;

on_both!(
    several_workers_share_the_partitions_in_order_per_key,
    a_drained_worker_repeats_nothing_and_its_partitions_go_on_at_once,
    a_crashed_worker_is_followed_within_its_lock_expiry,
    a_quarantined_partition_is_resumed_and_skipped_by_hand_while_the_others_go_on,
    a_paused_processor_rests_until_it_is_resumed,
    a_halt_stops_its_worker_and_waits_for_one_that_starts_later,
);

const CUSTOMERS: [&str; 8] = ["ada", "bob", "cy", "dee", "eve", "fay", "gus", "hal"];

fn many(count: u32) -> Vec<Order> {
    (0..count).map(|n| order(CUSTOMERS[n as usize % CUSTOMERS.len()], n)).collect()
}

/// A processor that notes who handled what.
fn signed(ground: &Ground, orders: &Stream<Order>, journal: &Journal<(u32, Order, Partition)>, who: u32) -> App {
    let mut app = ground.quick_app();
    let journal = journal.clone();
    app.processor(orders, move |order: Order, context: Context| {
        journal.note((who, order, context.partition()));
        std::future::ready(())
    })
    .name("billing");
    app
}

async fn several_workers_share_the_partitions_in_order_per_key(product: Product) {
    let (ground, orders, journal) = (Ground::shared(product), orders(6), Journal::default());
    let first = signed(&ground, &orders, &journal, 0);
    let mut workers = Vec::new();
    for who in 0..3 {
        workers.push(Worker::start(signed(&ground, &orders, &journal, who)).await);
    }
    eventually("each of three workers owns two partitions", async || {
        let mut owners: Vec<Option<String>> = (0..6).map(|p| ground.does(&format!("HGET OWN/{p} worker"))).collect();
        owners.sort();
        owners.iter().all(Option::is_some) && owners.chunk_by(|a, b| a == b).map(<[_]>::len).eq([2, 2, 2])
    })
    .await;

    let sent = many(600);
    first.stream(&orders).send_all(sent.clone()).await.unwrap();
    journal.reaches(600).await;
    for worker in workers {
        worker.drain().await.unwrap();
    }

    let handled = journal.all();
    assert_eq!(handled.len(), 600, "nothing was repeated");
    for customer in CUSTOMERS {
        let seen = handled.iter().filter(|(_, o, _)| o.customer == customer).map(|(_, o, _)| o.n);
        let wanted = sent.iter().filter(|o| o.customer == customer).map(|o| o.n);
        assert!(seen.eq(wanted), "{customer} is out of order");
    }
    let pairs: BTreeSet<_> = handled.iter().map(|(who, _, partition)| (*partition, *who)).collect();
    let partitions: BTreeSet<_> = pairs.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(pairs.len(), partitions.len(), "a partition had two owners although nobody came or went: {pairs:?}");
}

async fn a_drained_worker_repeats_nothing_and_its_partitions_go_on_at_once(product: Product) {
    let (ground, orders, journal) = (Ground::shared(product), orders(4), Journal::default());
    let app = ground.noting(&orders, &journal).setting("default_lock_expiry", "60s");
    let sender = app.clone();
    let (leaving, staying) = (Worker::start(app.clone()).await, Worker::start(app).await);
    sender.stream(&orders).send_all(many(200)).await.unwrap();
    journal.reaches(50).await;

    leaving.drain().await.unwrap();
    sender.stream(&orders).send_all(many(200)).await.unwrap();
    journal.reaches(400).await;
    staying.drain().await.unwrap();

    // A lease of 60 s would still hold the partitions back if they had not been released.
    assert_eq!(journal.len(), 400);
}

async fn a_crashed_worker_is_followed_within_its_lock_expiry(product: Product) {
    let (ground, orders, journal) = (Ground::shared(product), orders(4), Journal::default());
    let app = ground.noting(&orders, &journal);
    let sender = app.clone();
    let lost = Worker::start(app.clone()).await;
    sender.stream(&orders).send_all(many(40)).await.unwrap();
    journal.reaches(40).await;
    lost.crash().await;

    let heir = Worker::start(app).await;
    let began = runnel::clock::now();
    sender.stream(&orders).send_all((100..140).map(|n| order(CUSTOMERS[n as usize % 8], n))).await.unwrap();
    eventually("every later order is handled", async || {
        (100..140).all(|n| journal.of(CUSTOMERS[n as usize % 8]).contains(&n))
    })
    .await;

    let took = runnel::clock::now().since(began);
    assert!(took < Duration::from_millis(1500 + 3500), "{took:?}");
    for customer in CUSTOMERS {
        let mut firsts = Vec::new();
        journal.of(customer).into_iter().for_each(|n| {
            if !firsts.contains(&n) {
                firsts.push(n);
            }
        });
        assert!(firsts.is_sorted(), "{customer}: {firsts:?}");
    }
    heir.drain().await.unwrap();
}

/// The partition of a customer.
fn partition_of(customer: &str, partitions: u32) -> u32 {
    Partitioner::Xxh64.place(&Key::from(customer), partitions).unwrap().0
}

async fn a_quarantined_partition_is_resumed_and_skipped_by_hand_while_the_others_go_on(product: Product) {
    let (ground, orders, journal) = (Ground::shared(product), orders(4), Journal::<Order>::default());
    let broken = Arc::new(AtomicBool::new(true));
    let mut app = ground.quick_app();
    let (till, is_broken) = (journal.clone(), broken.clone());
    app.processor(&orders, move |order: Order| {
        let fails = order.customer == "bob" && (order.n == 6 || (order.n == 3 && is_broken.load(Ordering::SeqCst)));
        let done = if fails { Err(runnel::Error::from(format!("no stock for {}", order.n))) } else { Ok(()) };
        if done.is_ok() {
            till.note(order);
        }
        std::future::ready(done)
    })
    .name("billing")
    .exception_policy(ExceptionPolicy::Quarantine);
    let worker = Worker::start(app.clone()).await;
    let bobs = partition_of("bob", 4);
    let other = CUSTOMERS.into_iter().find(|customer| partition_of(customer, 4) != bobs).unwrap();

    let ids = app.stream(&orders).send_all((0..9).map(|n| order("bob", n))).await.unwrap();
    let stop = crate::support::eventually_some("bob's partition is quarantined", async || {
        ground.billing_in(bobs).await.0.and_then(|fence| fence.stop)
    })
    .await;
    assert_eq!((stop.kind, stop.at, stop.error.as_str()), (StopKind::Quarantined, ids[3], "no stock for 3"));
    app.stream(&orders).send_all((0..5).map(|n| order(other, n))).await.unwrap();
    eventually("another partition goes on", async || journal.of(other) == [0, 1, 2, 3, 4]).await;

    broken.store(false, Ordering::SeqCst);
    ground.runnel(&["processor", "resume", "billing"]);
    eventually("it stops at the next failure", async || {
        ground.billing_in(bobs).await.0.and_then(|fence| fence.stop).is_some_and(|stop| stop.at == ids[6])
    })
    .await;
    assert!(ground.runnel(&["processor", "skip", "billing"]).contains(&ids[6].to_string()));
    eventually("the rest is handled", async || journal.of("bob") == [0, 1, 2, 3, 4, 5, 7, 8]).await;

    assert!(worker.is_running());
    worker.drain().await.unwrap();
}

async fn a_paused_processor_rests_until_it_is_resumed(product: Product) {
    let (ground, orders, journal) = (Ground::shared(product), orders(1), Journal::default());
    let app = ground.noting(&orders, &journal);
    let sender = app.clone();
    let worker = Worker::start(app).await;
    ground.owned(0).await;

    ground.pause().await;
    let last = sender.stream(&orders).send(order("ada", 1)).await.unwrap();
    ground.a_while(Duration::from_secs(1)).await;
    assert_eq!(journal.len(), 0);
    ground.runnel(&["processor", "resume", "billing"]);
    ground.settled(0, last).await;

    assert_eq!(journal.numbers(), [1]);
    worker.drain().await.unwrap();
}

async fn a_halt_stops_its_worker_and_waits_for_one_that_starts_later(product: Product) {
    let (ground, orders) = (Ground::shared(product), orders(1));
    let tries = Arc::new(AtomicU32::new(0));
    let broken = Arc::new(AtomicBool::new(true));
    let mut app = ground.quick_app();
    let (count, is_broken) = (tries.clone(), broken.clone());
    app.processor(&orders, move |_: Order| {
        count.fetch_add(1, Ordering::SeqCst);
        let done = if is_broken.load(Ordering::SeqCst) { Err("no stock".into()) } else { Ok::<_, runnel::Error>(()) };
        std::future::ready(done)
    })
    .name("billing");
    let (a, b) = (Worker::start(app.clone()).await, Worker::start(app.clone()).await);
    eventually("both have joined", async || ground.does::<u32>("ZCARD BEAT") == 2).await;
    ground.owned(0).await;
    let id = app.stream(&orders).send(order("ada", 1)).await.unwrap();

    // Only one of them owned the partition, and only that one halts.
    eventually("one worker halts", async || !a.is_running() || !b.is_running()).await;
    let (halted, running) = if a.is_running() { (b, a) } else { (a, b) };
    let failure = halted.ended().await.unwrap_err();
    let Failure::Halted(text) = &failure else { panic!("{failure}") };
    for part in ["`billing`", "partition 0", "`orders`", &id.to_string(), "no stock", "processor skip billing"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    ground.a_while(Duration::from_millis(2500)).await;
    assert!(running.is_running(), "the other worker leaves it alone");
    assert_eq!(tries.load(Ordering::SeqCst), 1);

    broken.store(false, Ordering::SeqCst);
    let repaired = Worker::start(app).await;
    ground.settled(0, id).await;
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    running.drain().await.unwrap();
    repaired.drain().await.unwrap();
}
