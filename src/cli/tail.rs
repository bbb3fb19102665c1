//! `stream tail`: events as they come, of all partitions or one. It reads only; nobody's position moves.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde_json::Value;

use crate::broker::{Broker, BrokerError, Source, Start, StreamRef};
use crate::codec::{AnyCodec, Codec, Limits};
use crate::error::{Doing, Failure};
use crate::event::{Entry, EventId, Fields, Partition};
use crate::record::DATA;
use crate::settings::{Settings, read_start};

use super::{End, Out};

/// Entries asked for at once.
const PAGE: usize = 100;

pub(super) fn command() -> Command {
    Command::new("tail")
        .about("Print events as they come, until Ctrl-C")
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("START")
                .default_value("$")
                .value_parser(read_start)
                .help("0: the first event, $: the next one, after an id, or from a time on"),
        )
        .arg(Arg::new("partition").long("partition").value_name("N").value_parser(value_parser!(u32)))
        .arg(
            Arg::new("count").long("count").value_name("N").value_parser(value_parser!(u64)).help("End after N events"),
        )
        .arg(
            Arg::new("no-follow")
                .long("no-follow")
                .action(ArgAction::SetTrue)
                .help("Print what there is, and do not wait for more (implies --from 0 unless given)"),
        )
}

pub(super) async fn run(
    matches: &ArgMatches,
    broker: &dyn Broker,
    stream: &StreamRef,
    settings: &Settings,
    out: &mut Out,
) -> Result<(), End> {
    let mut printer = Printer {
        codec: AnyCodec::from_name(&stream.codec).ok(),
        limits: Limits { bytes: settings.decode_limit, ..Limits::default() },
        left: matches.get_one::<u64>("count").copied().unwrap_or(u64::MAX),
        out,
    };
    let partitions = match matches.get_one::<u32>("partition") {
        Some(n) if *n < stream.partitions => *n..*n + 1,
        Some(n) => {
            let text = format!("stream `{}` has partitions 0 to {}, and no {n}", stream.name, stream.partitions - 1);
            return Err(Failure::NotFound(text).into());
        }
        None => 0..stream.partitions,
    };
    let given = matches.value_source("from") == Some(clap::parser::ValueSource::CommandLine);
    let from = *matches.get_one::<Start>("from").expect("it has a default");
    let no_follow = matches.get_flag("no-follow");
    let from = if no_follow && !given { Start::Beginning } else { from };
    let mut places: BTreeMap<u32, EventId> = partitions.map(|partition| (partition, EventId::ZERO)).collect();
    match from {
        Start::Beginning => {}
        Start::After(id) => places.values_mut().for_each(|after| *after = id),
        Start::End => {
            let survey = broker.survey(stream).await.doing(|| format!("look at stream `{}`", stream.name))?;
            for partition in survey {
                places.entry(partition.partition.0).and_modify(|after| *after = partition.last);
            }
        }
    }
    if no_follow {
        return print_existing(broker, stream, places, &mut printer).await;
    }
    // Dropping a read loses nothing, and nothing else is under way.
    tokio::select! {
        done = follow(broker, stream, places, &mut printer) => done,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn print_existing(
    broker: &dyn Broker,
    stream: &StreamRef,
    places: BTreeMap<u32, EventId>,
    printer: &mut Printer<'_>,
) -> Result<(), End> {
    for (number, mut after) in places {
        loop {
            let from = next(after);
            let entries = broker.range(stream, Partition(number), from, EventId::MAX, PAGE, false).await;
            let entries = entries.doing(|| format!("read stream `{}`", stream.name))?;
            let Some(last) = entries.last() else { break };
            after = last.id;
            if printer.print(Partition(number), &entries)? {
                return Ok(());
            }
            if after == EventId::MAX {
                break;
            }
        }
    }
    Ok(())
}

/// The least id behind this one.
fn next(id: EventId) -> EventId {
    match id.seq.checked_add(1) {
        Some(seq) => EventId::new(id.ms, seq),
        None => EventId::new(id.ms.saturating_add(1), 0),
    }
}

async fn follow(
    broker: &dyn Broker,
    stream: &StreamRef,
    places: BTreeMap<u32, EventId>,
    printer: &mut Printer<'_>,
) -> Result<(), End> {
    let mut reads: FuturesUnordered<_> = places
        .into_iter()
        .map(|(number, after)| read(broker, stream.clone(), Partition(number), after, false))
        .collect();
    while let Some((partition, entries)) = reads.next().await {
        let entries = entries.doing(|| format!("read stream `{}`", stream.name))?;
        if printer.print(partition, &entries)? {
            break;
        }
        if let Some(last) = entries.last() {
            reads.push(read(broker, stream.clone(), partition, last.id, entries.len() == PAGE));
        }
    }
    Ok(())
}

type Read<'a> = BoxFuture<'a, (Partition, Result<Vec<Entry>, BrokerError>)>;

fn read(broker: &dyn Broker, stream: StreamRef, partition: Partition, after: EventId, flowing: bool) -> Read<'_> {
    let source = Source::Partition(stream, partition);
    Box::pin(async move { (partition, broker.read(&source, after, PAGE, flowing).await) })
}

struct Printer<'a> {
    codec: Option<AnyCodec>,
    limits: Limits,
    left: u64,
    out: &'a mut Out,
}

impl Printer<'_> {
    /// Prints each of them. Answers whether that was enough.
    fn print(&mut self, partition: Partition, entries: &[Entry]) -> Result<bool, End> {
        for entry in entries {
            if self.left == 0 {
                return Ok(true);
            }
            self.left -= 1;
            let fields = self.show(&entry.fields);
            if self.out.is_json() {
                self.out.object(&serde_json::json!({ "partition": partition, "id": entry.id, "fields": fields }))?;
            } else {
                let shown: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                self.out.line(&format!("{partition} {} {}", entry.id, shown.join(" ")))?;
            }
        }
        Ok(self.left == 0)
    }

    fn show(&self, fields: &Fields) -> serde_json::Map<String, Value> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|(name, value)| (text(name), self.value(name, value))).collect()
    }

    /// The record, where the stream's codec can read it; text where it is text; else how much there is.
    fn value(&self, name: &[u8], value: &[u8]) -> Value {
        let decoded =
            self.codec.filter(|_| name == DATA.as_bytes()).and_then(|codec| codec.decode(value, &self.limits).ok());
        decoded.unwrap_or_else(|| match std::str::from_utf8(value) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(format!("<{} bytes>", value.len())),
        })
    }
}
