//! `stream tail`: events as they come, of all partitions or one. It reads only; nobody's position moves.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use crate::broker::{Broker, BrokerError, Source, Start, StreamRef};
use crate::error::Doing;
use crate::event::{Entry, EventId, Partition};
use crate::settings::{Settings, read_start};

use super::fields::Reader;
use super::lookup::partitions;
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
        reader: Reader::of(stream, settings),
        left: matches.get_one::<u64>("count").copied().unwrap_or(u64::MAX),
        out,
    };
    let partitions = partitions(stream, matches.get_one::<u32>("partition").copied())?;
    let given = matches.value_source("from") == Some(clap::parser::ValueSource::CommandLine);
    let from = *matches.get_one::<Start>("from").expect("it has a default");
    let no_follow = matches.get_flag("no-follow");
    let from = if no_follow && !given { Start::Beginning } else { from };
    let mut places: BTreeMap<u32, EventId> =
        partitions.into_iter().map(|partition| (partition, EventId::ZERO)).collect();
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
            let from = after.next();
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
    reader: Reader,
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
            let fields = self.reader.show(&entry.fields);
            if self.out.is_json() {
                self.out.object(&serde_json::json!({ "partition": partition, "id": entry.id, "fields": fields }))?;
            } else {
                let shown: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                self.out.line(&format!("{partition} {} {}", entry.id, shown.join(" ")))?;
            }
        }
        Ok(self.left == 0)
    }
}
