//! Entries that no sender of ours would write: each is a failure of that event alone, named in the log, and the events
//! after it are processed. Nothing panics, nothing stops.

use std::io::Write;

use runnel::broker::StopKind;
use runnel::codec::Codec;
use runnel::prelude::*;

use crate::crew::{Journal, Worker, chain};
use crate::ground::{Ground, Order, Product, order, orders};
use crate::logs::Logs;
use crate::support::{eventually, eventually_some};

on_both!(
    bytes_that_are_no_json_are_named,
    json_of_another_shape_is_named,
    deep_json_is_refused_without_a_crash,
    an_entry_without_data_is_named,
    extra_and_doubled_fields_and_names_that_are_no_text_are_passed_over,
    compressed_bombs_and_broken_compression_are_refused,
    values_of_no_bytes_and_of_sixteen_megabytes_are_delivered,
    the_smallest_and_the_largest_id_are_processed,
    a_loop_that_fails_behind_the_last_id_of_a_millisecond_is_stopped_at_the_next_one,
    an_unreadable_event_stops_its_partition_if_the_policy_says_so,
);

type Bytes = Vec<u8>;

/// Puts entries of one field `data` before a good one, and checks that each is named with these words.
async fn are_named<C: Codec>(product: Product, codec: C, cases: &[(Bytes, &[&str])]) {
    let (ground, logs, journal) = (Ground::shared(product), Logs::hear(), Journal::default());
    let orders = orders(1).codec(codec);
    let mut app = ground.quick_app();
    app.processor(&orders, journal.noting()).name("billing").exception_policy(ExceptionPolicy::Ignore);
    let worker = Worker::start(app.clone()).await;

    for (data, words) in cases {
        let id = ground.xadd(0, "*", &[(b"data", data)]);
        let shown = format!("event {id} of stream `orders` cannot be decoded");
        logs.say(&[&["ERROR", shown.as_str(), "the event is given up"], *words].concat()).await;
    }
    app.stream(&orders).send(order("ada", 7)).await.unwrap();
    journal.reaches(1).await;
    worker.drain().await.unwrap();
    assert_eq!(journal.numbers(), [7]);
}

async fn bytes_that_are_no_json_are_named(product: Product) {
    are_named(
        product,
        Json,
        &[
            (b"".to_vec(), &["json"]),
            (b"not json".to_vec(), &["json", "line 1 column 2"]),
            (b"\xff\xfe\x00".to_vec(), &["json"]),
            (br#"{"customer":"ada","n":1"#.to_vec(), &["json", "EOF"]),
            (br#"{"customer":"ada","n":1}{}"#.to_vec(), &["json", "trailing"]),
            (b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(), &["json", "gzip"]),
        ],
    )
    .await;
}

async fn json_of_another_shape_is_named(product: Product) {
    are_named(
        product,
        Json,
        &[
            (br#"{"customer":"ada"}"#.to_vec(), &["missing field `n`"]),
            (br#"{"customer":1,"n":1}"#.to_vec(), &["expected a string"]),
            (br#"{"customer":"ada","n":18446744073709551616}"#.to_vec(), &["json"]),
            (br#"{"customer":"ada","n":1e999}"#.to_vec(), &["json"]),
            (br#"{"customer":"ada","n":NaN}"#.to_vec(), &["json"]),
            (br#"{"customer":"ada","customer":"bob","n":1}"#.to_vec(), &["duplicate field `customer`"]),
            (b"[]".to_vec(), &["json"]),
            (b"null".to_vec(), &["json"]),
        ],
    )
    .await;
}

async fn deep_json_is_refused_without_a_crash(product: Product) {
    let (ground, logs) = (Ground::shared(product), Logs::hear());
    let any = Stream::new("orders", |_: &serde_json::Value| 1.into()).partitions(1);
    let mut app = ground.quick_app();
    app.processor(&any, async |_: serde_json::Value| {}).name("billing").exception_policy(ExceptionPolicy::Ignore);
    let worker = Worker::start(app).await;

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let id = ground.xadd(0, "*", &[(b"data", deep.as_bytes())]);
    logs.say(&["ERROR", &id.to_string(), "cannot be decoded", "recursion limit"]).await;
    ground.settled(0, id).await;

    worker.drain().await.unwrap();
}

async fn an_entry_without_data_is_named(product: Product) {
    let (ground, logs, journal) = (Ground::shared(product), Logs::hear(), Journal::<Order>::default());
    let mut app = ground.quick_app();
    app.processor(&orders(1), journal.noting()).name("billing").exception_policy(ExceptionPolicy::Ignore);
    let worker = Worker::start(app.clone()).await;

    let id = ground.xadd(0, "*", &[(b"payload", b"{}"), (b"", b"")]);
    logs.say(&["ERROR", &id.to_string(), "`orders`", "the entry has no field `data`"]).await;
    ground.settled(0, id).await;

    worker.drain().await.unwrap();
}

async fn extra_and_doubled_fields_and_names_that_are_no_text_are_passed_over(product: Product) {
    let (ground, journal) = (Ground::shared(product), Journal::default());
    let worker = Worker::start(ground.noting(&orders(1), &journal)).await;
    let data = |n: u32| serde_json::to_vec(&order("ada", n)).unwrap();

    ground.xadd(0, "*", &[(b"traceparent", b"00-x"), (b"data", &data(1)), (b"data", &data(2))]);
    ground.xadd(0, "*", &[(b"\xff\x00{}", b"\xfe"), (b"data", &data(3))]);
    let last = ground.xadd(0, "*", &[(b"data", &data(4)), (b"", b"")]);
    ground.settled(0, last).await;

    worker.drain().await.unwrap();
    assert_eq!(journal.numbers(), [1, 3, 4]);
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

async fn compressed_bombs_and_broken_compression_are_refused(product: Product) {
    let whole = gzip(&serde_json::to_vec(&order("ada", 1)).unwrap());
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let bomb = gzip(&vec![b' '; 8 << 20]);
    are_named(
        product,
        Json.gzip(),
        &[
            (bomb, &["more than 1000 times larger", "decompression bomb"]),
            (whole[..whole.len() / 2].to_vec(), &["gzip"]),
            (wrong_sum, &["gzip"]),
            (br#"{"customer":"ada","n":1}"#.to_vec(), &["gzip"]),
        ],
    )
    .await;
}

async fn values_of_no_bytes_and_of_sixteen_megabytes_are_delivered(product: Product) {
    let (ground, journal) = (Ground::shared(product), Journal::default());
    let mut app = ground.quick_app();
    let sizes = journal.clone();
    app.processor(&orders(1), move |event: Event| {
        sizes.note(event.fields.get("data").map(<[u8]>::len));
        std::future::ready(())
    })
    .name("billing");
    let worker = Worker::start(app).await;
    let big = vec![b'x'; 16 << 20];

    ground.xadd(0, "*", &[(b"data", b"")]);
    ground.xadd(0, "*", &[(b"data", &big)]);
    ground.xadd(0, "*", &[(b"other", b"1")]);
    journal.reaches(3).await;

    worker.drain().await.unwrap();
    assert_eq!(journal.all(), [Some(0), Some(16 << 20), None]);
}

async fn the_smallest_and_the_largest_id_are_processed(product: Product) {
    let (ground, journal) = (Ground::shared(product), Journal::default());
    let app = ground.noting(&orders(1), &journal);
    let sender = app.clone();
    let worker = Worker::start(app).await;

    for (n, id) in [EventId::new(0, 1), EventId::new(0, u64::MAX), EventId::MAX].into_iter().enumerate() {
        sender.stream(&orders(1)).send_as(id, order("ada", n as u32)).await.unwrap();
    }
    ground.settled(0, EventId::MAX).await;
    assert_eq!(journal.numbers(), [0, 1, 2]);

    let refused = sender.stream(&orders(1)).send(order("ada", 9)).await.unwrap_err();
    let text = chain(&refused);
    assert!(text.contains("`orders`") && text.contains("exhausted the last possible ID"), "{text}");
    worker.drain().await.unwrap();
}

async fn a_loop_that_fails_behind_the_last_id_of_a_millisecond_is_stopped_at_the_next_one(product: Product) {
    let ground = Ground::shared(product);
    let mut app = ground.quick_app();
    app.event_loop(&orders(1), |events: &mut Events<Order>| {
        Box::pin(async move {
            // It gives up before an event only where there was one: what it kept of that must be broken.
            match events.next().await? {
                Some(_) => Ok(()),
                None => Ok(()),
            }
        })
    })
    .name("billing");
    let worker = Worker::start(app).await;
    let last = ground.xadd(0, &format!("5-{}", u64::MAX), &[(b"data", br#"{"customer":"ada","n":1}"#)]);
    ground.settled(0, last).await;
    worker.drain().await.unwrap();

    let mut failing = ground.quick_app();
    failing
        .event_loop(&orders(1), |_: &mut Events<Order>| Box::pin(async { Err("the table is gone".into()) }))
        .name("billing")
        .exception_policy(ExceptionPolicy::Quarantine);
    let worker = Worker::start(failing).await;
    let stop = eventually_some("it is stopped", async || ground.billing_in(0).await.0.and_then(|f| f.stop)).await;

    assert_eq!((stop.at, stop.error.as_str()), (EventId::new(6, 0), "the table is gone"));
    worker.drain().await.unwrap();
}

async fn an_unreadable_event_stops_its_partition_if_the_policy_says_so(product: Product) {
    let (ground, journal) = (Ground::shared(product), Journal::default());
    let mut app = ground.quick_app();
    app.processor(&orders(1), journal.noting()).name("billing").exception_policy(ExceptionPolicy::Quarantine).retry(
        5,
        Duration::from_millis(1),
        Duration::from_millis(1),
    );
    let worker = Worker::start(app.clone()).await;

    let id = ground.xadd(0, "*", &[(b"data", b"{")]);
    let next = app.stream(&orders(1)).send(order("ada", 2)).await.unwrap();
    let stop = eventually_some("it is stopped", async || ground.billing_in(0).await.0.and_then(|f| f.stop)).await;
    assert_eq!((stop.kind, stop.at), (StopKind::Quarantined, id));
    assert!(stop.error.contains("cannot be decoded"), "{}", stop.error);
    ground.runnel(&["processor", "skip", "billing"]);
    ground.settled(0, next).await;

    worker.drain().await.unwrap();
    eventually("the next one was handled", async || journal.numbers() == [2]).await;
}
