//! Dead letters: what is given up is kept, once, and nothing that was not kept is settled.

use std::sync::{Arc, Mutex};

use runnel::broker::Broker;
use runnel::broker::memory::Step;
use runnel::event::Fields;
use runnel::prelude::*;
use runnel::testing::{Letter, Moment, TestApp, takes};

use super::output::Warnings;
use super::shop::{MS, Order, SECOND, eventually, order, orders, orders_of_one, send_a_broken_order, starts};

/// A processor that gives up the orders with these numbers.
pub fn giving_up<'a>(
    app: &'a mut App,
    orders: &Stream<Order>,
    poison: impl Fn(u32) -> bool + Send + Sync + 'static,
) -> runnel::Declared<'a> {
    let handler = move |order: Order| {
        let outcome: Result = if poison(order.n) { Err(format!("no stock for {}", order.n).into()) } else { Ok(()) };
        std::future::ready(outcome)
    };
    app.processor(orders, handler).name("billing").dead_letter()
}

/// Ids of events, by where they lie.
fn ids(letters: &[Letter]) -> Vec<EventId> {
    letters.iter().map(|letter| letter.about.id).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_kept_as_it_was_sent_with_its_error() {
    let orders = orders();
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |n| n == 1).retry(3, MS, MS);
    let shop = TestApp::start(app).await;

    let sent = shop.send_all(&orders, orders_of_one(3)).await;
    shop.until_idle().await;

    let letters = shop.dead("billing").await;
    assert_eq!(ids(&letters), [sent[1]]);
    let about = &letters[0].about;
    assert_eq!((&*about.error, about.attempts, about.crashes), ("no stock for 1", 3, 0));
    assert_eq!((&*about.worker, &*about.stream, &*about.processor), ("worker-1", "orders", "billing"));
    let data = serde_json::to_vec(&order("a", 1)).unwrap();
    assert_eq!(letters[0].fields, Fields::from_pairs([("data", data)]));
    assert_eq!(shop.settled("billing").len(), 2, "the others");
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_letter_names_its_causes() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {
        let cause = "x".parse::<u32>().unwrap_err();
        Result::Err(Box::new(Refused(cause)) as runnel::Error)
    })
    .name("billing")
    .dead_letter();
    let shop = TestApp::start(app).await;

    shop.send(&orders, order("a", 1)).await;
    shop.until_idle().await;

    assert_eq!(shop.dead("billing").await[0].about.error, "cannot charge: invalid digit found in string");
}

#[derive(Debug)]
struct Refused(std::num::ParseIntError);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot charge")
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_loop_gives_up_its_event_and_is_started_again() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.event_loop(&orders, |events: &mut Events<Order>| {
        Box::pin(async move {
            while let Some(order) = events.next().await? {
                if order.n == 1 {
                    return Err("no stock".into());
                }
            }
            Ok(())
        })
    })
    .name("billing")
    .dead_letter();
    let mut shop = TestApp::start(app).await;

    let sent = shop.send_all(&orders, orders_of_one(3)).await;
    eventually(&shop, "the last one is in hand", |shop| starts(shop, sent[2]).len() == 1).await;
    shop.drain().await.into_iter().for_each(|end| end.unwrap());

    assert_eq!(ids(&shop.dead("billing").await), [sent[1]]);
    assert_eq!(shop.settled("billing").len(), 2);
}

/// What the processor of dead letters notes of one.
type Noted = (EventId, String, Result<u32, String>);

#[tokio::test(start_paused = true)]
async fn dead_letters_are_a_stream_whose_records_need_not_be_readable() {
    let (orders, noted) = (orders(), Arc::new(Mutex::new(Vec::<Noted>::new())));
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |n| n == 2);
    let notes = noted.clone();
    app.processor(&orders.dead_letters(), move |letter: DeadLetter<Order>| {
        let record = letter.record().map(|order| order.n).map_err(|error| error.to_string());
        notes.lock().unwrap().push((letter.id, letter.error.clone(), record));
        std::future::ready(())
    })
    .name("given_up");
    let shop = TestApp::start(app).await;

    let broken = send_a_broken_order(&shop, &orders, "billing").await;
    shop.until_idle().await;
    eventually(&shop, "both letters are handled", |shop| shop.settled("given_up").len() == 2).await;

    let noted = noted.lock().unwrap().clone();
    assert!(noted[0].0 == broken && noted[0].1.contains("cannot be decoded") && noted[0].2.is_err(), "{noted:?}");
    assert!(noted[1].1 == "no stock for 2" && noted[1].2 == Ok(2), "{noted:?}");
    shop.until_idle().await;
    assert_eq!(shop.dead("billing").await.len(), 2, "they stay, also when they were looked at");
}

#[tokio::test(start_paused = true)]
async fn who_looks_after_dead_letters_gives_up_quietly() {
    let orders = orders();
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |_| true);
    app.processor(&orders.dead_letters(), async |_: DeadLetter<Order>| Err::<(), _>(runnel::Error::from("no idea")))
        .name("given_up");
    let mut shop = TestApp::start(app).await;

    shop.send_all(&orders, orders_of_one(2)).await;
    eventually(&shop, "both letters are given up", |shop| shop.ignored("given_up").len() == 2).await;

    shop.drain().await.into_iter().for_each(|end| end.unwrap());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_dead_letters() {
    let orders = orders();
    let letters: Arc<Mutex<Option<DeadLetter<Order>>>> = Arc::default();
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |_| true);
    let kept = letters.clone();
    app.processor(&orders.dead_letters(), move |letter: DeadLetter<Order>| {
        *kept.lock().unwrap() = Some(letter);
        std::future::ready(())
    })
    .name("given_up");
    let shop = TestApp::start(app.clone()).await;
    shop.send(&orders, order("a", 1)).await;
    eventually(&shop, "the letter is seen", |_| letters.lock().unwrap().is_some()).await;

    let letter = letters.lock().unwrap().take().unwrap();
    let refused = shop.within(async { orders.dead_letters().send(letter).await }).await.unwrap_err().to_string();

    assert!(refused.contains("nothing is sent to it: send to `orders`"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_six_hundred_letters_goes_in_more_than_one_commit() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Vec<Order>| Err::<(), _>(runnel::Error::from("no stock")))
        .name("billing")
        .batch(600, SECOND)
        .dead_letter();
    let shop = TestApp::without_workers(app).await;
    let sent = shop.send_all(&orders, orders_of_one(600)).await;

    let mut shop = shop;
    shop.add_worker("worker-1").await;
    shop.until_idle().await;

    assert_eq!(ids(&shop.dead("billing").await), sent);
    let counts = lettered(&shop);
    assert_eq!(counts, [500, 100]);
    assert_eq!(shop.failed("billing").len(), 1, "it failed as one");
}

/// How many letters each commit has brought.
fn lettered(shop: &TestApp) -> Vec<usize> {
    let of = |moment| match moment {
        Moment::Step(Step::Lettered { letters, .. }) => Some(letters.len()),
        _ => None,
    };
    shop.timeline().into_iter().filter_map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn when_there_is_no_room_the_event_waits_and_other_partitions_go_on() {
    let orders = orders().dead_letter_size(2);
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |n| n < 3);
    let shop = TestApp::start(app).await;
    let sent = shop.send_all(&orders, orders_of_one(5)).await;
    shop.advance(60 * SECOND).await;
    let dead = shop.dead("billing").await;
    assert_eq!(ids(&dead), sent[..2], "there is room for two");

    let elsewhere = shop.send_all(&orders, (100..140).map(|n| order(&n.to_string(), n))).await;
    let handled = |shop: &TestApp| shop.settled("billing").into_iter().filter(|(_, id)| elsewhere.contains(id)).count();
    eventually(&shop, "the other partitions go on", |shop| handled(shop) >= 20).await;

    let place = shop.place("billing", dead[0].about.partition).await;
    let broker = shop.memory().connect();
    broker.drop_letters(&place.group.stream, place.partition, &[dead[0].letter_id]).await.unwrap();
    shop.until_idle().await;

    assert_eq!(ids(&shop.dead("billing").await), sent[1..3]);
}

#[tokio::test(start_paused = true)]
async fn letters_that_were_looked_at_make_room_by_themselves() {
    let orders = orders().dead_letter_size(2);
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |_| true);
    app.processor(&orders.dead_letters(), async |_: DeadLetter<Order>| {}).name("given_up");
    let shop = TestApp::start(app).await;

    let sent = shop.send_all(&orders, orders_of_one(20)).await;
    shop.until_idle().await;
    eventually(&shop, "all letters are handled", |shop| shop.settled("given_up").len() == sent.len()).await;
}

#[tokio::test(start_paused = true)]
async fn letters_that_go_to_make_room_do_not_go_silently() {
    let (warnings, _guard) = Warnings::heard();
    let orders = orders().dead_letter_size(2);
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |_| true);
    app.processor(&orders.dead_letters(), async |_: DeadLetter<Order>| {}).name("given_up");
    let shop = TestApp::start(app).await;

    shop.send_all(&orders, orders_of_one(3)).await;
    shop.until_idle().await;

    assert!(shop.dead("billing").await.len() < 3);
    assert!(!warnings.with("were removed to make room").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_room_for_letters_drains_in_time_and_cleanly() {
    let orders = orders().dead_letter_size(1);
    let mut app = App::bare("shop");
    giving_up(&mut app, &orders, |_| true).grace_period(3 * SECOND);
    let mut shop = TestApp::start(app).await;
    let sent = shop.send_all(&orders, orders_of_one(4)).await;
    shop.advance(30 * SECOND).await;

    let before = runnel::clock::now();
    shop.drain().await.into_iter().for_each(|end| end.unwrap());

    let took = runnel::clock::now().since(before);
    assert!(took < 3 * SECOND + 500 * MS, "{took:?}");
    let letter = shop.dead("billing").await[0].clone();
    let place = shop.place("billing", letter.about.partition).await;
    let broker = shop.memory().connect();
    broker.drop_letters(&place.group.stream, place.partition, &[letter.letter_id]).await.unwrap();
    shop.add_worker("worker-2").await;
    eventually(&shop, "the next one is given up", |shop| starts(shop, sent[2]).len() == 2).await;
    assert_eq!(starts(&shop, sent[0]).len(), 1);
    let crashes: Vec<_> = shop.dead("billing").await.iter().map(|letter| letter.about.crashes).collect();
    assert_eq!(crashes, [0], "the first worker left in peace");
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_two_commits_leaves_each_letter_once() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |order: Order| {
        takes(10 * MS).await;
        if order.n.is_multiple_of(3) { Err(runnel::Error::from("no stock")) } else { Ok(()) }
    })
    .name("billing")
    .dead_letter();
    let mut shop = TestApp::start(app).await;
    let sent = shop.send_all(&orders, orders_of_one(60)).await;

    for n in 2..6 {
        shop.advance(95 * MS).await;
        shop.crash(&format!("worker-{}", n - 1));
        shop.add_worker(&format!("worker-{n}")).await;
        shop.advance(15 * SECOND).await;
    }
    shop.until_idle().await;

    let poison: Vec<_> = sent.iter().copied().step_by(3).collect();
    assert_eq!(ids(&shop.dead("billing").await), poison);
}

#[tokio::test(start_paused = true)]
async fn a_crash_that_kills_too_often_is_a_letter_as_well() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |order: Order| takes(if order.n == 0 { 100_000 * SECOND } else { MS }).await)
        .name("billing")
        .max_crashes(2)
        .dead_letter();
    let mut shop = TestApp::start(app).await;
    let sent = shop.send_all(&orders, orders_of_one(3)).await;

    for n in 2..6 {
        shop.advance(20 * SECOND).await;
        shop.crash(&format!("worker-{}", n - 1));
        shop.add_worker(&format!("worker-{n}")).await;
    }
    shop.until_idle().await;

    let letters = shop.dead("billing").await;
    assert_eq!((ids(&letters), letters[0].about.crashes), (vec![sent[0]], 2));
    assert!(letters[0].about.error.contains("max_crashes"), "{}", letters[0].about.error);
}

#[tokio::test]
async fn dead_letters_do_not_go_with_policies_that_stop_nor_with_dead_letters() {
    let orders = orders();
    let mut app = App::bare("shop");
    app.processor(&orders, async |_: Order| {})
        .name("billing")
        .exception_policy(ExceptionPolicy::Quarantine)
        .dead_letter();
    app.processor(&orders.dead_letters(), async |_: DeadLetter<Order>| {}).name("given_up").dead_letter();

    let refused = runnel::spawn(async { TestApp::start(app).await }).await.err().expect("it cannot work").into_panic();

    let refused = refused.downcast_ref::<String>().unwrap();
    assert!(refused.contains("`exception_policy = \"quarantine\"` stops there: give one of them"), "{refused}");
    assert!(refused.contains("cannot be given up as dead letters once more"), "{refused}");
}
