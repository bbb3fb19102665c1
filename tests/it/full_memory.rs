//! A server that is out of memory and evicts nothing: workers go on settling, sends wait, and nothing is lost.

use runnel::prelude::*;

use crate::crew::{Journal, Worker, chain};
use crate::ground::{Ground, Product, order, orders};
use crate::support::in_time;

on_both!(workers_settle_and_senders_wait_until_there_is_room);

async fn workers_settle_and_senders_wait_until_there_is_room(product: Product) {
    let (mut ground, journal) = (Ground::alone(product.options()), Journal::default());
    let app = ground.noting(&orders(2), &journal);
    app.stream(&orders(2)).send_all((0..50).map(|n| order(&format!("c{n}"), n))).await.unwrap();
    ground.server().config("maxmemory", "1mb");

    let worker = Worker::start(app.clone()).await;
    journal.reaches(50).await;
    for partition in 0..2 {
        let last: redis::streams::StreamRangeReply = ground.does(&format!("XREVRANGE P/{partition} + - COUNT 1"));
        ground.settled(partition, last.ids[0].id.parse().unwrap()).await;
    }

    let impatient = orders(2).send_timeout(Duration::from_millis(300));
    let refused = ground.app().stream(&impatient).send_all([order("ada", 60)]).await.unwrap_err();
    let text = chain(&refused);
    for part in ["`orders`", "OOM", "maxmemory"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let patient = app.connect().await.unwrap();
    let sending = runnel::spawn(async move { patient.stream(&orders(2)).send(order("ada", 61)).await });
    ground.a_while(Duration::from_millis(300)).await;
    assert!(!sending.is_finished(), "it waits for room");
    ground.server().config("maxmemory", "0");
    in_time(sending).await.unwrap().unwrap();

    journal.reaches(51).await;
    worker.drain().await.unwrap();
    assert_eq!(journal.len(), 51);
    assert_eq!(journal.of("ada"), [61]);
}
