//! `processor reset` and `processor dead-letter` under the hands of a worker that runs.

use runnel::broker::StopKind;
use runnel::prelude::*;

use crate::crew::{Journal, Worker};
use crate::ground::{Ground, Order, Product, order, orders};
use crate::support::{eventually, eventually_some};

on_both!(
    a_forced_reset_makes_a_running_worker_process_again_from_there,
    a_stopped_event_becomes_a_dead_letter_by_hand_and_its_worker_goes_on,
);

async fn a_forced_reset_makes_a_running_worker_process_again_from_there(product: Product) {
    let (ground, orders, journal) = (Ground::shared(product), orders(2), Journal::default());
    let app = ground.noting(&orders, &journal);
    let sender = app.clone();
    let worker = Worker::start(app).await;
    let ids = sender.stream(&orders).send_all((0..4).map(|n| order("ada", n))).await.unwrap();
    journal.reaches(4).await;
    eventually("all of it is settled", async || {
        [ground.billing_in(0).await.1, ground.billing_in(1).await.1].contains(&Some(ids[3]))
    })
    .await;

    // After the second one.
    let told = ground.runnel(&["processor", "reset", "billing", "--start", &ids[1].to_string(), "--force"]);
    journal.reaches(6).await;
    assert!(told.contains(&ids[3].to_string()) && told.contains("TAKEN FROM"), "{told}");

    // Everything since then.
    ground.runnel(&["processor", "reset", "billing", "--start", "2026-01-01T00:00:00Z", "--force"]);
    journal.reaches(10).await;

    // Nothing that is there already, in the one partition alone.
    ground.runnel(&["processor", "reset", "billing", "--start", "$", "--force", "--partition", "0,1"]);
    sender.stream(&orders).send(order("ada", 4)).await.unwrap();
    journal.reaches(11).await;
    assert_eq!(journal.numbers(), [0, 1, 2, 3, 2, 3, 0, 1, 2, 3, 4]);
    assert!(worker.is_running());
    worker.drain().await.unwrap();
}

async fn a_stopped_event_becomes_a_dead_letter_by_hand_and_its_worker_goes_on(product: Product) {
    let (ground, orders, journal) = (Ground::shared(product), orders(1), Journal::<Order>::default());
    let mut app = ground.quick_app();
    let till = journal.clone();
    app.processor(&orders, move |order: Order| {
        let done = if order.n == 1 { Err(runnel::Error::from("declined")) } else { Ok(()) };
        if done.is_ok() {
            till.note(order);
        }
        std::future::ready(done)
    })
    .name("billing")
    .retry(2, Duration::from_millis(10), Duration::from_millis(10))
    .exception_policy(ExceptionPolicy::Quarantine);
    let sender = app.clone();
    let worker = Worker::start(app).await;
    let ids = sender.stream(&orders).send_all((0..3).map(|n| order("ada", n))).await.unwrap();
    let stop = eventually_some("the partition is quarantined", async || {
        ground.billing_in(0).await.0.and_then(|fence| fence.stop)
    })
    .await;
    assert_eq!((stop.kind, stop.at), (StopKind::Quarantined, ids[1]));

    ground.runnel(&["processor", "dead-letter", "billing"]);
    journal.reaches(2).await;

    assert_eq!(journal.numbers(), [0, 2]);
    let letters: serde_json::Value =
        serde_json::from_str(&ground.runnel(&["dead", "list", "orders", "--output", "json"])).unwrap();
    let letter = &letters[0];
    assert_eq!((&letter["event"], &letter["error"]), (&ids[1].to_string().into(), &"declined".into()));
    assert_eq!((&letter["attempts"], &letter["fields"]["data"]["n"]), (&2.into(), &1.into()));
    worker.drain().await.unwrap();
}
