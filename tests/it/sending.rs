//! Sending: ids, full partitions, what is never trimmed, and how many round trips it takes.

use std::sync::Arc;

use runnel::broker::Broker;
use runnel::prelude::*;
use runnel::settings::OnFull;
use runnel::{EventId, Failure};
use tokio::sync::Semaphore;

use crate::crew::{Journal, Worker, chain};
use crate::ground::{Ground, Order, Product, order, orders};
use crate::support::eventually;

on_both!(
    ids_of_ones_own_are_kept_and_must_rise,
    a_full_partition_fails_at_once_and_names_who_holds_it_back,
    a_sender_waits_for_room_and_goes_on_when_a_worker_has_made_it,
    a_sender_that_waits_in_vain_says_how_long_and_for_whom,
    the_oldest_is_dropped_only_where_that_was_asked_for,
    what_a_registered_processor_has_not_settled_is_never_trimmed,
    concurrent_single_sends_share_round_trips,
);

async fn ids_of_ones_own_are_kept_and_must_rise(product: Product) {
    let ground = Ground::shared(product);
    let sender = ground.app();
    let sender = sender.stream(&orders(1));

    assert_eq!(sender.send_as(EventId::new(5, 1), order("ada", 1)).await.unwrap(), EventId::new(5, 1));
    for refused in [EventId::new(5, 1), EventId::new(5, 0), EventId::new(4, 9), EventId::ZERO] {
        let text = chain(&sender.send_as(refused, order("ada", 2)).await.unwrap_err());
        assert!(text.contains("send to stream `orders`") && text.contains("XADD"), "{text}");
    }

    assert_eq!(ground.does::<u32>("XLEN P/0"), 1);
}

/// A full stream of ten with a processor that has settled none of it.
async fn full(ground: &Ground, on_full: OnFull) -> Stream<Order> {
    let stream = orders(1).partition_size(10).on_full(on_full).send_timeout(Duration::from_millis(400));
    let worker = Worker::start(ground.noting(&stream, &Journal::default())).await;
    ground.owned(0).await;
    worker.drain().await.unwrap();
    ground.app().stream(&stream).send_all((0..10).map(|n| order("ada", n))).await.unwrap();
    stream
}

async fn a_full_partition_fails_at_once_and_names_who_holds_it_back(product: Product) {
    let ground = Ground::shared(product);
    let stream = full(&ground, OnFull::Fail).await;
    let app = ground.app();
    app.stream(&stream).send_as(EventId::new(u64::MAX, 0), order("ada", 10)).await.unwrap();

    let refused = app.stream(&stream).send_as(EventId::new(u64::MAX, 1), order("ada", 11)).await.unwrap_err();

    let text = refused.to_string();
    assert!(matches!(refused, Failure::Full(_)), "{text}");
    for part in [
        "partition 0 of stream `orders` is full (10 events)",
        "processor `billing` holds it back",
        "`processor forget billing`",
        "partition_size",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

async fn a_sender_that_waits_in_vain_says_how_long_and_for_whom(product: Product) {
    let ground = Ground::shared(product);
    let stream = full(&ground, OnFull::Wait).await;
    let app = ground.app();
    app.stream(&stream).send(order("ada", 10)).await.unwrap();

    let began = runnel::clock::now();
    let text = app.stream(&stream).send(order("ada", 11)).await.unwrap_err().to_string();

    assert!(runnel::clock::now().since(began) >= Duration::from_millis(400));
    assert!(text.contains("for 400ms") && text.contains("processor `billing` holds it back"), "{text}");
}

async fn a_sender_waits_for_room_and_goes_on_when_a_worker_has_made_it(product: Product) {
    let (ground, journal) = (Ground::shared(product), Journal::default());
    let stream = full(&ground, OnFull::Wait).await.send_timeout(Duration::from_secs(20));
    let app = ground.noting(&stream, &journal);
    let sender = app.connect().await.unwrap();
    let waiting = stream.clone();
    let sending = runnel::spawn(async move {
        for n in 10..60 {
            sender.stream(&waiting).send(order("ada", n)).await.unwrap();
        }
    });
    eventually("the partition is full", async || ground.does::<u32>("XLEN P/0") == 11).await;
    ground.a_while(Duration::from_millis(200)).await;
    assert!(!sending.is_finished());

    let worker = Worker::start(app).await;
    crate::support::in_time(sending).await.unwrap();
    journal.reaches(60).await;

    worker.drain().await.unwrap();
    assert_eq!(journal.numbers(), (0..60).collect::<Vec<_>>());
}

async fn the_oldest_is_dropped_only_where_that_was_asked_for(product: Product) {
    let ground = Ground::shared(product);
    let stream = full(&ground, OnFull::DropOldest).await;
    let app = ground.app();

    for n in 10..40 {
        app.stream(&stream).send(order("ada", n)).await.unwrap();
    }

    let kept: redis::streams::StreamRangeReply = ground.does("XRANGE P/0 - +");
    assert!((1..=11).contains(&kept.ids.len()), "{}", kept.ids.len());
    let newest: String = kept.ids.last().unwrap().get("data").unwrap();
    assert_eq!(newest, r#"{"customer":"ada","n":39}"#);
}

async fn what_a_registered_processor_has_not_settled_is_never_trimmed(product: Product) {
    let (ground, fast, slow) = (Ground::shared(product), Journal::<Order>::default(), Journal::default());
    let stream = orders(1);
    let may_go_on = Arc::new(Semaphore::new(10));
    let mut app = ground.quick_app();
    app.processor(&stream, fast.noting()).name("fast");
    let (turns, noted) = (may_go_on.clone(), slow.clone());
    app.processor(&stream, move |order: Order| {
        let (turns, noted) = (turns.clone(), noted.clone());
        async move {
            turns.acquire().await.unwrap().forget();
            noted.note(order);
        }
    })
    .name("billing");
    let worker = Worker::start(app.clone()).await;

    let ids = app.stream(&stream).send_all((0..100).map(|n| order("ada", n))).await.unwrap();
    fast.reaches(100).await;
    slow.reaches(10).await;
    ground.settled(0, ids[9]).await;
    let broker = ground.broker().await;
    let place = ground.place(0).await;
    for _ in 0..3 {
        broker.trim(&place.group.stream, Partition(0)).await.unwrap();
    }
    let left: redis::streams::StreamRangeReply = ground.does("XRANGE P/0 - +");
    let first: EventId = left.ids[0].id.parse().unwrap();
    assert!(first == ids[9] || first == ids[10], "only what both have settled is cut, from {first}");
    may_go_on.add_permits(100);
    slow.reaches(100).await;

    worker.drain().await.unwrap();
    assert_eq!(slow.numbers(), (0..100).collect::<Vec<_>>());
}

async fn concurrent_single_sends_share_round_trips(product: Product) {
    let ground = Ground::alone(product.options());
    let app = ground.app();
    let sender = Arc::new(app.connect().await.unwrap());
    sender.stream(&orders(1)).send(order("ada", 0)).await.unwrap();
    let before = ground.calls_of("xlen");

    let sends = (1..=500).map(|n| {
        let sender = sender.clone();
        async move { sender.stream(&orders(1)).send(order("ada", n)).await.unwrap() }
    });
    let ids = futures::future::join_all(sends).await;

    // The level of the partition is asked for once in each pipeline.
    let pipelines = ground.calls_of("xlen") - before;
    assert!(pipelines <= 25, "{pipelines} pipelines for 500 sends");
    assert_eq!(ground.does::<u32>("XLEN P/0"), 501);
    let mut different = ids.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 500, "each has an id of its own");
}
