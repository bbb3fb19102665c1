//! Streams shared with runnel for Python: entries as it writes them, its consumer groups, and what it will find of ours.

use std::collections::{BTreeMap, BTreeSet};

use redis::streams::StreamReadReply;
use runnel::codec::Codec;
use runnel::prelude::*;
use serde_json::Value;

use crate::crew::{Journal, Worker};
use crate::ground::{Ground, Product};

on_both!(
    json_records_of_python_are_processed_where_it_put_them,
    compressed_records_of_python_are_processed,
    primitive_records_of_python_are_processed,
    a_group_that_python_consumers_used_goes_on_without_repeats_or_losses,
    what_is_sent_lies_where_python_looks_and_reads_as_json,
);

const JSON: &str = include_str!("../vectors/wire/json.json");
const COMPRESSED: &str = include_str!("../vectors/wire/compressed.json");
const PRIMITIVE: &str = include_str!("../vectors/wire/primitive.json");

/// One entry of a file of vectors.
struct Written(Value);

impl Written {
    fn text(&self, member: &str) -> &str {
        self.0[member].as_str().unwrap_or_default()
    }

    fn partitions(&self) -> u32 {
        self.0["partition_count"].as_u64().unwrap() as u32
    }
}

/// The entries of one stream in a file of vectors, by the stream's name.
fn streams(file: &str) -> BTreeMap<String, Vec<Written>> {
    let mut streams = BTreeMap::<String, Vec<Written>>::new();
    for entry in serde_json::from_str::<Vec<Value>>(file).unwrap().into_iter().map(Written) {
        streams.entry(entry.text("stream").to_owned()).or_default().push(entry);
    }
    streams
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Writes entries as Python did, under its keys.
fn written(ground: &Ground, entries: &[Written]) {
    for entry in entries {
        let pairs: Vec<(String, String)> = serde_json::from_value(entry.0["fields"].clone()).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (unhex(name), unhex(value))).collect();
        let fields: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        ground.xadd_to(&format!("{}{}", ground.prefix, entry.text("key")), entry.text("id"), &fields);
    }
}

fn partitioner(entry: &Written) -> Partitioner {
    match entry.text("hasher") {
        "python-md5" => Partitioner::PythonMd5,
        _ => Partitioner::Python,
    }
}

/// What a raw or typed handler was given: partition, id, and the text of it.
type Seen = (u32, String, String);

fn payloads<C: Codec>(ground: &Ground, name: &str, entries: &[Written], codec: C, journal: &Journal<Seen>) -> App {
    let stream = Stream::new(name, |_: &Value| "".into())
        .partitions(entries[0].partitions())
        .python_compatible()
        .partitioner(partitioner(&entries[0]))
        .codec(codec);
    let mut app = ground.quick_app();
    let journal = journal.clone();
    app.processor(&stream, move |value: Value, context: Context| {
        journal.note((context.partition().0, context.id().to_string(), value.to_string()));
        std::future::ready(())
    })
    .name("billing")
    .exception_policy(ExceptionPolicy::Ignore);
    app
}

/// What a handler should be given of these entries, in no order.
fn expected(entries: &[Written]) -> BTreeSet<Seen> {
    let seen = |entry: &Written| {
        let value: Value = serde_json::from_str(entry.text("payload")).ok()?;
        Some((entry.0["partition"].as_u64().unwrap() as u32, entry.text("id").to_owned(), value.to_string()))
    };
    entries.iter().filter_map(seen).collect()
}

async fn process<C: Codec>(ground: &Ground, name: &str, entries: &[Written], codec: C) {
    let (journal, expected) = (Journal::default(), expected(entries));
    written(ground, entries);
    let worker = Worker::start(payloads(ground, name, entries, codec, &journal)).await;
    journal.reaches(expected.len()).await;
    worker.drain().await.unwrap();

    assert_eq!(journal.len(), expected.len(), "{name}: nothing twice");
    assert_eq!(journal.all().into_iter().collect::<BTreeSet<_>>(), expected, "{name}");
}

async fn json_records_of_python_are_processed_where_it_put_them(product: Product) {
    for (name, entries) in streams(JSON) {
        process(&Ground::shared(product), &name, &entries, Json).await;
    }
}

async fn compressed_records_of_python_are_processed(product: Product) {
    for (name, entries) in streams(COMPRESSED) {
        let ground = Ground::shared(product);
        match entries[0].text("compressor") {
            "gzip" => process(&ground, &name, &entries, Json.gzip()).await,
            _ => process(&ground, &name, &entries, Json.lz4()).await,
        }
    }
}

#[derive(Debug, Clone, Record)]
#[record(primitive)]
struct Action {
    user_id: i128,
    ratio: f64,
    active: bool,
    name: String,
    token: Vec<u8>,
}

async fn primitive_records_of_python_are_processed(product: Product) {
    for (name, entries) in streams(PRIMITIVE) {
        let (ground, journal) = (Ground::shared(product), Journal::<Action>::default());
        written(&ground, &entries);
        let stream = Stream::new(name, |action: &Action| action.user_id.into())
            .partitions(entries[0].partitions())
            .python_compatible();
        let mut app = ground.quick_app();
        app.processor(&stream, journal.noting()).name("billing");
        let worker = Worker::start(app).await;
        journal.reaches(entries.len()).await;
        worker.drain().await.unwrap();

        let told = |a: &Action| format!("{} {} {} {} {:?}", a.user_id, a.ratio, a.active, a.name, a.token);
        let wanted = |entry: &Written| {
            let value = |at: usize| entry.0["values"][at]["value"].as_str().unwrap();
            let ratio: f64 = value(1).parse().unwrap();
            format!("{} {ratio} {} {} {:?}", value(0), value(2), value(3), unhex(value(4)))
        };
        let seen: BTreeSet<_> = journal.all().iter().map(told).collect();
        assert_eq!(seen, entries.iter().map(wanted).collect());
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    order_id: i64,
    amount: f64,
}

fn python_orders() -> Stream<Order> {
    Stream::new("orders", |order: &Order| order.order_id.into()).partitions(1).python_compatible()
}

async fn a_group_that_python_consumers_used_goes_on_without_repeats_or_losses(product: Product) {
    let (ground, journal) = (Ground::shared(product), Journal::<Order>::default());
    let key = format!("{}__strm:shop.orders.0", ground.prefix);
    let data = |n: i64| serde_json::to_vec(&Order { order_id: n, amount: 1.0 }).unwrap();
    let ids: Vec<EventId> =
        (0..10).map(|n| ground.xadd_to(&key, &format!("{}-0", n + 1), &[(b"data", data(n))])).collect();
    let _: () = ground.does(&format!("XGROUP CREATE {key} billing 0"));
    // Python was given 0 to 6 and has acknowledged 0, 1, 2, 4 and 6.
    let read: StreamReadReply = ground.does(&format!("XREADGROUP GROUP billing python-1 COUNT 7 STREAMS {key} >"));
    assert_eq!(read.keys[0].ids.len(), 7);
    for n in [0, 1, 2, 4, 6] {
        let _: u32 = ground.does(&format!("XACK {key} billing {}", ids[n]));
    }

    let mut app = ground.quick_app();
    app.processor(&python_orders(), journal.noting()).name("billing");
    let worker = Worker::start(app).await;
    journal.reaches(5).await;
    ground.settled(0, ids[9]).await;
    worker.drain().await.unwrap();

    assert_eq!(journal.all().iter().map(|order| order.order_id).collect::<Vec<_>>(), [3, 5, 7, 8, 9]);
    let pending: (u64, Option<String>, Option<String>, Option<redis::Value>) =
        ground.does(&format!("XPENDING {key} billing"));
    assert_eq!(pending.0, 0);
    let consumers: Vec<redis::Value> = ground.does(&format!("XINFO CONSUMERS {key} billing"));
    assert!(consumers.is_empty(), "{consumers:?}");
}

async fn what_is_sent_lies_where_python_looks_and_reads_as_json(product: Product) {
    let streams = streams(JSON);
    let entries: Vec<&Written> = streams["orders"].iter().filter(|entry| entry.text("record") == "Order").collect();
    let ground = Ground::shared(product);
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Full {
        order_id: i128,
        created_at: String,
        amount: f64,
        item_ids: Vec<u32>,
    }
    let stream = Stream::new("orders", |order: &Full| order.order_id.into())
        .partitions(entries[0].partitions())
        .python_compatible();
    let app = ground.app();

    let mut sent = 0;
    for entry in entries.iter().filter(|entry| entry.text("serializer") == "orjson") {
        let Ok(order) = serde_json::from_str::<Full>(entry.text("payload")) else { continue };
        let id = app.stream(&stream).send(order).await.unwrap();
        let key = format!("{}{}", ground.prefix, entry.text("key"));
        let found: redis::streams::StreamRangeReply = ground.does(&format!("XRANGE {key} {id} {id}"));
        assert_eq!(found.ids.len(), 1, "{id} lies in {key}");
        let data: String = found.ids[0].get("data").unwrap();
        assert_eq!(data, entry.text("payload"));
        assert_eq!(found.ids[0].map.len(), 1, "one field and no more");
        sent += 1;
    }
    assert!(sent >= 3, "{sent}");
}
