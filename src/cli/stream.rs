//! `stream list | show | tail`: what there is, and what lies in it.

use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

use crate::broker::Broker;
use crate::clock::UnixMs;
use crate::error::{Doing, Failure};

use super::lookup::{all, everything, stream, survey, without_own};
use super::output::grouped;
use super::report::StreamReport;
use super::status::{print_processors, print_stopped, waits_for};
use super::{End, Host, Out, tail};

pub(super) fn command() -> Command {
    let name = || Arg::new("stream").value_name("STREAM").required(true);
    Command::new("stream")
        .about("Streams: list, show, tail")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("All streams").arg(all()))
        .subcommand(Command::new("show").about("One stream, partition by partition").arg(name()))
        .subcommand(tail::command().arg(name()))
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    match matches.subcommand() {
        Some(("show", matches)) => show(named(matches), host, out).await,
        Some(("tail", matches)) => {
            let broker = host.broker().await?;
            let stream = stream(&*broker, named(matches)).await?;
            tail::run(matches, &*broker, &stream, &host.settings().settings, out).await
        }
        Some((_, matches)) => list(matches.get_flag("all"), host, out).await,
        None => list(false, host, out).await,
    }
}

pub(super) fn named(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("stream").expect("clap asks for the stream")
}

pub(super) async fn server_now(broker: &dyn Broker) -> Result<UnixMs, Failure> {
    Ok(broker.server().await.doing(|| "ask the server for its time".into())?.now)
}

async fn list(all: bool, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let broker = host.broker().await?;
    let now = server_now(&*broker).await?;
    let mut reports: Vec<StreamReport> =
        everything(&*broker).await?.iter().map(|surveyed| StreamReport::of(surveyed, now)).collect();
    if !all {
        without_own(&mut reports);
    }
    if out.is_json() {
        return out.object(&reports);
    }
    out.table(
        ["STREAM", "PARTITIONS", "EVENTS", "EVER ADDED", "PARTITIONER", "CODEC", "PROCESSORS"],
        reports.into_iter().map(|stream| {
            let processors: Vec<String> = stream.processors.iter().map(|processor| processor.name.clone()).collect();
            let [events, added] = [stream.events, stream.added].map(grouped);
            let facts = [stream.partitioner, stream.codec, processors.join(", ")];
            let [partitioner, codec, processors] = facts;
            [stream.name, stream.partitions.to_string(), events, added, partitioner, codec, processors]
        }),
    )
}

/// One stream with its partitions.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    stream: StreamReport,
    content: Vec<PartitionReport>,
}

#[derive(Serialize)]
struct PartitionReport {
    partition: u32,
    events: u64,
    added: u64,
    first: Option<String>,
    last: String,
}

async fn show(name: &str, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let broker = host.broker().await?;
    let surveyed = survey(&*broker, stream(&*broker, name).await?).await?;
    let content = surveyed.partitions.iter().map(|partition| PartitionReport {
        partition: partition.partition.0,
        events: partition.length,
        added: partition.added,
        first: partition.first.map(|id| id.to_string()),
        last: partition.last.to_string(),
    });
    let shown = Shown { content: content.collect(), stream: StreamReport::of(&surveyed, server_now(&*broker).await?) };
    if out.is_json() {
        return out.object(&shown);
    }
    let stream = &shown.stream;
    out.line(&format!(
        "stream {}: {} partitions in {} slot groups, partitioner {}, codec {}, declared {}",
        stream.name, stream.partitions, stream.slot_groups, stream.partitioner, stream.codec, stream.created
    ))?;
    if let Some(held) = &stream.held_back_by {
        out.line(&format!("trimming waits for {}", waits_for(held)))?;
    }
    if stream.dead_letters > 0 {
        out.line(&format!("{} dead letters: `dead list {}` shows them", grouped(stream.dead_letters), stream.name))?;
    }
    out.line("")?;
    out.table(
        ["PARTITION", "EVENTS", "EVER ADDED", "FIRST", "LAST"],
        shown.content.iter().map(|partition| {
            let [events, added] = [partition.events, partition.added].map(grouped);
            [
                partition.partition.to_string(),
                events,
                added,
                partition.first.clone().unwrap_or_default(),
                partition.last.clone(),
            ]
        }),
    )?;
    let processors: Vec<_> = stream.processors.iter().collect();
    if processors.is_empty() {
        return Ok(());
    }
    out.line("")?;
    print_processors(&processors, out)?;
    print_stopped(&processors, out)
}
