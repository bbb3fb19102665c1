//! Entries that runnel for Python wrote are read to what they meant there.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Utc};
use runnel::codec::{AnyCodec, Codec, Compression, DecodeError, Gzip, Json, Limits, Lz4};
use runnel::event::Fields;
use runnel::{Key, Partitioner, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    order_id: i128,
    created_at: NaiveDateTime,
    amount: f64,
    item_ids: Vec<u32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Basket {
    basket_id: String,
    customer: Customer,
    lines: Vec<Line>,
    labels: BTreeMap<String, String>,
    note: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Customer {
    id: u64,
    name: String,
    email: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: u32,
    price: f64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Times {
    key: String,
    naive: NaiveDateTime,
    utc: DateTime<Utc>,
    offset: DateTime<FixedOffset>,
    micros: NaiveDateTime,
    day: NaiveDate,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Values {
    key: String,
    text: String,
    big: i128,
    small: f64,
    flag: bool,
    nothing: Option<String>,
    empty: Vec<u8>,
    map: BTreeMap<String, f64>,
}

#[derive(Debug, PartialEq, Record)]
#[record(primitive)]
struct Action {
    user_id: i128,
    ratio: f64,
    active: bool,
    name: String,
    token: Vec<u8>,
}

/// What Python's middleware makes of an event that was given up.
#[derive(Debug, PartialEq, Record)]
#[record(primitive)]
struct Dead {
    failed_at: String,
    partition: String,
    xid: String,
    data: bytes::Bytes,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// One entry of a file of vectors.
struct Written(Value);

impl Written {
    fn all(file: &str) -> Vec<Self> {
        let entries: Vec<Value> = serde_json::from_str(file).unwrap();
        entries.into_iter().map(Self).collect()
    }

    fn of(file: &str, record: &str) -> Vec<Self> {
        Self::all(file).into_iter().filter(|entry| entry.text("record") == record).collect()
    }

    fn text(&self, member: &str) -> &str {
        self.0[member].as_str().unwrap_or_default()
    }

    fn fields(&self) -> Fields {
        let pairs: Vec<(String, String)> = serde_json::from_value(self.0["fields"].clone()).unwrap();
        Fields::from_pairs(pairs.iter().map(|(name, value)| (unhex(name), unhex(value))))
    }

    fn codec(&self) -> AnyCodec {
        match self.text("compressor") {
            "" => "json".parse().unwrap(),
            compressor => format!("json+{compressor}").parse().unwrap(),
        }
    }

    fn read<R: Record>(&self) -> Result<R, DecodeError> {
        R::from_fields(&self.fields(), &self.codec(), &Limits::default())
    }
}

const JSON: &str = include_str!("../vectors/wire/json.json");
const COMPRESSED: &str = include_str!("../vectors/wire/compressed.json");
const PRIMITIVE: &str = include_str!("../vectors/wire/primitive.json");
const DEAD: &str = include_str!("../vectors/wire/dead.json");

fn time(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

#[test]
fn orders_are_read_digit_by_digit() {
    let read = Written::of(JSON, "Order").into_iter().filter_map(|entry| entry.read::<Order>().ok());
    let read: Vec<(i128, u64, usize)> = read.map(|o| (o.order_id, o.amount.to_bits(), o.item_ids.len())).collect();

    let expected = [
        (1, 9.99, 3),
        (2, 0.1 + 0.2, 0),
        (-5, -0.0, 3),
        (i128::from(i64::MAX), 9.99, 3),
        (77, 9.99, 3),
        (1, 9.99, 3),
        (2, 0.1 + 0.2, 0),
        (100_000_000_000_000_000_000, 9.99, 3),
        (1, 9.99, 3),
        (2, 9.99, 3),
        (3, 9.99, 3),
    ];
    assert_eq!(read, expected.map(|(id, amount, items): (i128, f64, usize)| (id, amount.to_bits(), items)));
}

#[test]
fn what_stands_for_nan_in_python_is_no_number_here() {
    let unreadable: Vec<String> = Written::of(JSON, "Order")
        .into_iter()
        .filter(|entry| entry.read::<Order>().is_err())
        .map(|entry| entry.text("payload").split("\"amount\":").nth(1).unwrap().split(',').next().unwrap().to_owned())
        .collect();

    assert_eq!(unreadable, ["null", "NaN", "Infinity"]);
}

#[test]
fn what_stands_for_nan_in_orjson_is_nothing_here() {
    #[derive(Serialize, Deserialize)]
    struct Order {
        amount: Option<f64>,
    }
    let entries = Written::of(JSON, "Order");
    let null = entries.iter().find(|entry| entry.text("python_cannot_read") == "ValidationError").unwrap();

    assert_eq!(null.read::<Order>().unwrap().amount, None);
}

#[test]
fn both_serializers_of_python_are_read_to_the_same_basket() {
    let expected = Basket {
        basket_id: "b-1".into(),
        customer: Customer { id: 7, name: "Zoë O'Brien".into(), email: None },
        lines: vec![
            Line { sku: "A-1".into(), quantity: 2, price: 3.5 },
            Line { sku: "naïve \"q\" \\ / <b>".into(), quantity: 0, price: 1e16 },
        ],
        labels: [("clé", "🦀"), ("tab", "a\tb\nc\u{2028}\u{7f}\0")].map(|(k, v)| (k.into(), v.into())).into(),
        note: None,
    };
    let baskets = Written::of(JSON, "Basket");
    let compressed = Written::of(COMPRESSED, "Basket");

    assert_eq!((baskets.len(), compressed.len()), (2, 2));
    for entry in baskets.iter().chain(&compressed) {
        assert_eq!(entry.read::<Basket>().unwrap(), expected, "{}", entry.text("meaning"));
    }
}

#[test]
fn times_keep_their_zone_and_their_microseconds() {
    let expected = Times {
        key: "t".into(),
        naive: time("2026-01-01T12:00:00"),
        utc: "2026-01-01T12:00:00Z".parse().unwrap(),
        offset: "2026-01-01T12:00:00+05:45".parse().unwrap(),
        micros: time("2026-03-29T01:30:59.000042"),
        day: "2028-02-29".parse().unwrap(),
    };
    for entry in Written::of(JSON, "Times") {
        assert_eq!(entry.read::<Times>().unwrap(), expected);
    }
}

#[test]
fn edges_of_numbers_and_texts_are_read() {
    let expected = |key: &str, big: i128| Values {
        key: key.into(),
        text: "日本語 é \u{7} \u{d7ff}".into(),
        big,
        small: 1.5e-7,
        flag: true,
        nothing: None,
        empty: vec![],
        map: [("third", 1.0 / 3.0), ("neg", -0.0), ("huge", 1e22)].map(|(k, v)| (k.into(), v)).into(),
    };
    let read: Vec<Values> = Written::of(JSON, "Values").iter().map(|entry| entry.read().unwrap()).collect();

    let keys = [
        ("v", i64::MAX.into()),
        ("it's", i64::MIN.into()),
        ("max", u64::MAX.into()),
        ("v", i64::MAX.into()),
        ("big", 1 << 70),
    ];
    assert_eq!(read, keys.map(|(key, big)| expected(key, big)));
}

#[test]
fn what_python_compressed_is_what_it_wrote() {
    for entry in Written::all(COMPRESSED) {
        let fields = entry.fields();
        let data = fields.get("data").unwrap();
        let plain = match entry.text("compressor") {
            "gzip" => Gzip.decompress(data, &Limits::default()),
            _ => Lz4.decompress(data, &Limits::default()),
        };
        assert_eq!(String::from_utf8(plain.unwrap()).unwrap(), entry.text("payload"));
    }
}

#[test]
fn compressed_orders_are_read() {
    let orders: Vec<Order> = Written::of(COMPRESSED, "Order").iter().map(|entry| entry.read().unwrap()).collect();

    let short = |order: &Order| (order.order_id, order.item_ids.len());
    assert_eq!(orders.iter().map(short).collect::<Vec<_>>(), [(1, 3), (2, 200), (1, 3), (2, 200)]);
}

#[test]
fn what_we_write_of_it_is_read_back() {
    fn again<R: Record + PartialEq + std::fmt::Debug>(entry: &Written) {
        let record: R = entry.read().unwrap();
        let fields = record.to_fields(&entry.codec()).unwrap();
        assert_eq!(R::from_fields(&fields, &entry.codec(), &Limits::default()).unwrap(), record);
    }
    for entry in Written::all(JSON).iter().chain(&Written::all(COMPRESSED)) {
        match entry.text("record") {
            "Order" if entry.read::<Order>().is_err() => {}
            "Order" => again::<Order>(entry),
            "Basket" => again::<Basket>(entry),
            "Times" => again::<Times>(entry),
            _ => again::<Values>(entry),
        }
    }
}

#[test]
fn our_json_is_that_of_orjson() {
    for entry in Written::of(JSON, "Order").iter().filter(|entry| entry.text("serializer") == "orjson") {
        let Ok(order) = entry.read::<Order>() else { continue };
        let mut ours = Vec::new();
        Json.encode(&order, &mut ours).unwrap();
        assert_eq!(String::from_utf8(ours).unwrap(), entry.text("payload"));
    }
}

#[test]
fn primitive_records_are_read_value_by_value() {
    for entry in Written::all(PRIMITIVE) {
        let action: Action = entry.read().unwrap();
        let value = |at: usize| entry.0["values"][at]["value"].as_str().unwrap();

        assert_eq!(action.user_id, value(0).parse::<i128>().unwrap());
        // As text, so that -0.0 is not 0.0 and NaN is NaN.
        assert_eq!(action.ratio.to_string(), value(1).parse::<f64>().unwrap().to_string());
        assert_eq!(action.active.to_string(), value(2));
        assert_eq!(action.name, value(3));
        assert_eq!(action.token, unhex(value(4)));
    }
}

#[test]
fn primitive_records_are_written_byte_for_byte_as_python_does() {
    for entry in Written::all(PRIMITIVE) {
        let action: Action = entry.read().unwrap();

        assert_eq!(action.to_fields(&Json).unwrap(), entry.fields(), "{}", entry.text("meaning"));
    }
}

#[test]
fn dead_letters_of_python_are_read_with_the_order_in_them() {
    let letters: Vec<Dead> = Written::of(DEAD, "Dead").iter().map(|entry| entry.read().unwrap()).collect();

    let order: Order = Json.decode(&letters[0].data, &Limits::default()).unwrap();
    let compressed: Order = Json.gzip().decode(&letters[1].data, &Limits::default()).unwrap();
    assert_eq!((order.order_id, compressed.order_id), (11, 12));
    assert_eq!(letters[0].partition, "__strm:shop.fragile.2");
    assert_eq!(letters[0].xid, "1767268800000-0");
    assert_eq!(letters[0].failed_at, "2026-11-22T03:13:15.730462");
}

#[test]
fn the_events_of_dead_letters_are_read() {
    let orders: Vec<i128> =
        Written::of(DEAD, "Order").iter().map(|entry| entry.read::<Order>().unwrap().order_id).collect();
    let actions: Vec<Action> = Written::of(DEAD, "Action").iter().map(|entry| entry.read().unwrap()).collect();

    assert_eq!(orders, [11, 12]);
    let action = Action { user_id: 13, ratio: 0.25, active: true, name: "Zoë".into(), token: vec![0, 0xff] };
    assert!(actions.len() == 2 && actions.iter().all(|read| *read == action));
}

#[test]
fn every_entry_lies_in_the_partition_we_would_choose() {
    let mut placed = 0;
    for entry in [JSON, COMPRESSED, PRIMITIVE, DEAD].into_iter().flat_map(Written::all) {
        let key: Key = match (&entry.0["partition_key"]["type"], &entry.0["partition_key"]["value"]) {
            (Value::String(kind), Value::String(value)) if kind == "int" => value.parse::<i128>().unwrap().into(),
            (Value::String(_), Value::String(value)) => value.into(),
            _ => continue,
        };
        let count = entry.0["partition_count"].as_u64().unwrap() as u32;
        let partitioner: Partitioner = entry.text("hasher").parse().unwrap();

        let place = partitioner.place(&key, count).unwrap();

        assert_eq!(Some(u64::from(place.0)), entry.0["partition"].as_u64(), "{}", entry.text("meaning"));
        placed += 1;
    }
    assert_eq!(placed, 22 + 6 + 6 + 3);
}
