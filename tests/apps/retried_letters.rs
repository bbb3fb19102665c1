//! Dead letters that are put back: for the processor that gave them up, and for no other.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use runnel::broker::{Broker, NewEntry};
use runnel::event::Fields;
use runnel::prelude::*;
use runnel::testing::TestApp;

use super::dead_letters::giving_up;
use super::shop::{Order, SECOND, order, orders, orders_of_one};

/// What a processor notes of an order: its number, its idempotency key, and the id it had at first.
type Seen = (u32, String, Option<EventId>);

#[tokio::test(start_paused = true)]
async fn a_retried_letter_is_for_the_processor_that_gave_it_up() {
    let (orders, noted, has_stock) =
        (orders(), Arc::new(Mutex::new(Vec::<Seen>::new())), Arc::new(AtomicBool::new(false)));
    let mut app = App::bare("shop");
    let (notes, stocked) = (noted.clone(), has_stock.clone());
    app.processor(&orders, move |order: Order, context: Context| {
        notes.lock().unwrap().push((order.n, context.idempotency_key(), context.retried()));
        let has_stock = order.n != 1 || stocked.load(Ordering::Relaxed);
        std::future::ready(if has_stock { Ok(()) } else { Err(runnel::Error::from("no stock")) })
    })
    .name("billing")
    .dead_letter();
    app.processor(&orders, async |_: Order| {}).name("printer");
    let shop = TestApp::start(app).await;
    let sent = shop.send_all(&orders, orders_of_one(3)).await;
    shop.until_idle().await;

    for round in 1..=2 {
        let letter = shop.dead("billing").await[0].clone();
        assert_eq!(letter.about.id, sent[1], "round {round}: always the id it was sent with");
        assert_eq!(letter.fields.len(), 1, "round {round}: the mark is none of its fields");
        has_stock.store(round == 2, Ordering::Relaxed);
        let place = shop.place("billing", letter.about.partition).await;
        let broker = shop.memory().connect();
        broker.retry_letters(&place.group.stream, place.partition, &[letter.letter_id]).await.unwrap();
        shop.until_idle().await;
    }

    assert_eq!(shop.dead("billing").await, []);
    let tries: Vec<_> = noted.lock().unwrap().iter().filter(|(n, ..)| *n == 1).cloned().collect();
    assert_eq!(tries.len(), 3);
    assert!(tries.iter().all(|(_, key, _)| *key == tries[0].1), "{tries:?}");
    assert_eq!(tries.iter().map(|(.., id)| *id).collect::<Vec<_>>(), [None, Some(sent[1]), Some(sent[1])]);
    assert_eq!((shop.settled("printer").len(), shop.passed("printer").len()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn in_a_batch_what_was_put_back_for_another_is_left_out() {
    let (orders, sizes) = (orders(), Arc::new(Mutex::new(Vec::new())));
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |n| n % 2 == 0);
    let noted = sizes.clone();
    app.processor(&orders, move |orders: Vec<Order>| {
        noted.lock().unwrap().push(orders.len());
        std::future::ready(())
    })
    .name("warehouse")
    .batch(10, SECOND);
    let shop = TestApp::start(app).await;
    shop.send_all(&orders, orders_of_one(4)).await;
    shop.until_idle().await;

    let letters = shop.dead("billing").await;
    let place = shop.place("billing", letters[0].about.partition).await;
    let ids: Vec<_> = letters.iter().map(|letter| letter.letter_id).collect();
    let broker = shop.memory().connect();
    broker.retry_letters(&place.group.stream, place.partition, &ids).await.unwrap();
    shop.send(&orders, order("a", 5)).await;
    shop.until_idle().await;

    assert_eq!(*sizes.lock().unwrap(), [4, 1]);
    assert_eq!(shop.passed("warehouse").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_only_looks_like_the_mark_is_a_field() {
    let (orders, count) = (orders(), Arc::new(AtomicU32::new(0)));
    let mut app = App::bare("shop");
    let counted = count.clone();
    app.processor(&orders, move |event: Event| {
        counted.fetch_add(event.fields.len() as u32, Ordering::Relaxed);
        std::future::ready(())
    })
    .name("billing");
    let shop = TestApp::start(app).await;
    let place = shop.place("billing", Partition(0)).await;
    let fields = Fields::from_pairs([("data", "1"), ("__retried", "not from us")]);

    let entry = NewEntry { partition: Partition(0), id: None, fields };
    shop.memory().connect().append(&place.group.stream, vec![entry]).await.unwrap();
    shop.until_idle().await;

    assert_eq!(count.load(Ordering::Relaxed), 2);
}
