//! Feeds streams whose records this program does not know: any JSON, by the facts that lie in the store.
//!
//! Only what can be known is done. A codec that is not built in, records stored field by field, and a partitioner that
//! is another program's own function are refused with the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::broker::{Broker, NewEntry, StreamRef};
use crate::codec::{AnyCodec, Codec};
use crate::error::{Doing, Failure};
use crate::event::{EventId, Fields, Partition};
use crate::record::DATA;
use crate::route::{Key, Partitioner};
use crate::settings::Settings;

use super::feed::{FeedOptions, Feeder, Line, LineError, why_no_record};
use super::lookup;
use super::room::Room;

/// Feeds one stream.
pub(super) struct JsonFeeder {
    broker: Arc<dyn Broker>,
    stream: StreamRef,
    codec: AnyCodec,
    placing: Placing,
    room: tokio::sync::Mutex<Room>,
}

#[derive(Debug)]
enum Placing {
    Fixed(Partition),
    ByField { field: String, partitioner: Partitioner },
}

impl JsonFeeder {
    /// For this stream, or why it cannot be fed from here.
    pub(super) async fn new(
        broker: Arc<dyn Broker>,
        stream: &str,
        options: &FeedOptions,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let stream = lookup::stream(&*broker, stream).await?;
        if lookup::is_own(&stream.name) {
            return Err(Failure::Invalid(format!(
                "stream `{}` is runnel's own: nothing else is sent to it",
                stream.name
            )));
        }
        let codec = AnyCodec::from_name(&stream.codec).map_err(|unknown| {
            Failure::Invalid(format!(
                "stream `{}` cannot be fed from here: {unknown}; use its own program",
                stream.name
            ))
        })?;
        let placing = placing(&stream, options)?;
        let mut room = Room::new(settings);
        let survey = broker.survey(&stream).await.doing(|| format!("look at stream `{}`", stream.name))?;
        room.know(survey.into_iter().map(|partition| (partition.partition, partition.length)));
        Ok(Self { broker, stream, codec, placing, room: room.into() })
    }

    fn entry(&self, line: &Line) -> Result<NewEntry, LineError> {
        let bad = |why: String| LineError::Bad { line: line.number, why };
        let record: Value = serde_json::from_slice(&line.text).map_err(|error| bad(why_no_record(&error)))?;
        let partition = match &self.placing {
            Placing::Fixed(partition) => *partition,
            Placing::ByField { field, partitioner } => {
                let key = key(&record, field).map_err(bad)?;
                partitioner.place(&key, self.stream.partitions).map_err(|error| bad(error.to_string()))?
            }
        };
        let mut data = Vec::with_capacity(line.text.len());
        self.codec.encode(&record, &mut data).map_err(|error| bad(error.to_string()))?;
        Ok(NewEntry { partition, id: None, fields: Fields::from_pairs([(DATA, data)]) })
    }
}

fn placing(stream: &StreamRef, options: &FeedOptions) -> Result<Placing, Failure> {
    match (options.partition, &options.key) {
        (Some(partition), None) if partition < stream.partitions => Ok(Placing::Fixed(Partition(partition))),
        (Some(partition), None) => Err(Failure::NotFound(format!(
            "stream `{}` has partitions 0 to {}, and no {partition}",
            stream.name,
            stream.partitions - 1
        ))),
        (None, Some(field)) => {
            let partitioner = Partitioner::from_name(&stream.partitioner).map_err(|_| {
                Failure::Invalid(format!(
                    "stream `{}` is partitioned by `{}`, a function that only its own program has: send with that \
                     program, or name the --partition",
                    stream.name, stream.partitioner
                ))
            })?;
            Ok(Placing::ByField { field: field.clone(), partitioner })
        }
        _ => Err(Failure::Invalid(format!(
            "nobody here knows the key of the records of stream `{}`: name its field with --key, or a --partition; its \
             own program knows",
            stream.name
        ))),
    }
}

fn key(record: &Value, field: &str) -> Result<Key, String> {
    let Value::Object(fields) = record else { return Err("it is no object, so it has no field for a key".into()) };
    match fields.get(field) {
        None => Err(format!("missing field '{field}'")),
        Some(Value::String(text)) => Ok(Key::Text(text.clone())),
        Some(Value::Bool(truth)) => Ok(Key::Bool(*truth)),
        Some(Value::Number(number)) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            let float = || number.as_f64().map(Key::Float);
            whole.map(Key::Int).or_else(float).ok_or_else(|| format!("field '{field}' is no number that can be a key"))
        }
        Some(_) => Err(format!("field '{field}' is no key: a text, a number or a truth value is")),
    }
}

#[async_trait]
impl Feeder for JsonFeeder {
    fn check(&self, line: &Line) -> Result<(), LineError> {
        self.entry(line).map(drop)
    }

    async fn send(&self, lines: &[Line]) -> Result<Vec<EventId>, LineError> {
        let entries: Vec<NewEntry> = lines.iter().map(|line| self.entry(line)).collect::<Result<_, _>>()?;
        let Some(first) = lines.first() else { return Ok(Vec::new()) };
        let unsent = |line: u64, source: Failure| LineError::Unsent { line, source: source.into() };
        let mut room = self.room.lock().await;
        let partitions: BTreeMap<Partition, ()> = entries.iter().map(|entry| (entry.partition, ())).collect();
        for partition in partitions.into_keys() {
            room.make(&*self.broker, &self.stream, partition).await.map_err(|full| unsent(first.number, full))?;
        }
        let doing = || format!("send to stream `{}`", self.stream.name);
        let appended = self.broker.append(&self.stream, entries).await.doing(doing);
        let appended = appended.map_err(|failure| unsent(first.number, failure))?;
        room.know(appended.lengths);
        let ids = lines.iter().zip(appended.ids);
        ids.map(|(line, id)| id.doing(doing).map_err(|failure| unsent(line.number, failure))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(record: &str) -> Result<Key, String> {
        key(&serde_json::from_str(record).unwrap(), "id")
    }

    #[test]
    fn a_field_of_a_plain_kind_is_a_key() {
        assert_eq!(found(r#"{"id":"a"}"#), Ok(Key::Text("a".into())));
        assert_eq!(found(r#"{"id":-7}"#), Ok(Key::Int(-7)));
        assert_eq!(found(r#"{"id":18446744073709551615}"#), Ok(Key::Int(u64::MAX.into())));
        assert_eq!(found(r#"{"id":1.5}"#), Ok(Key::Float(1.5)));
        assert_eq!(found(r#"{"id":true}"#), Ok(Key::Bool(true)));
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        assert_eq!(found("{}").unwrap_err(), "missing field 'id'");
        assert_eq!(found("[1]").unwrap_err(), "it is no object, so it has no field for a key");
        for record in [r#"{"id":null}"#, r#"{"id":[1]}"#, r#"{"id":{}}"#] {
            assert!(found(record).unwrap_err().starts_with("field 'id' is no key"), "{record}");
        }
    }
}
