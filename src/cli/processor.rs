//! `processor list | show | reset | resume | skip | pause | forget`: how far each is, and an operator's hand.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::Serialize;

use crate::broker::{Broker, Forgotten, Group, Intervention, Place, Start, Stop, StopKind};
use crate::clock::UnixMs;
use crate::error::{Doing, Failure};
use crate::event::{EventId, Partition};
use crate::settings::read_start;

use super::lookup::{Surveyed, everything, processor};
use super::output::{or_unknown, ranges};
use super::report::{ProcessorReport, StreamReport};
use super::status::{print_processors, print_stopped};
use super::stream::server_now;
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    let stream =
        || Arg::new("stream").long("stream").value_name("STREAM").help("Where several streams have one of that name");
    let named = |name: &'static str, about: &'static str| {
        let processor = Arg::new("processor").value_name("PROCESSOR").required(true);
        Command::new(name).about(about).arg(processor).arg(stream())
    };
    let chosen = |command: Command, help: &'static str| {
        let partition = Arg::new("partition").long("partition").value_name("N").value_delimiter(',');
        command.arg(partition.value_parser(value_parser!(u32)).action(ArgAction::Append).help(help))
    };
    let start = Arg::new("start").long("start").value_name("START").required(true).value_parser(read_start);
    let force = Arg::new("force").long("force").action(ArgAction::SetTrue);
    Command::new("processor")
        .about("Processors: how far they are, and how to move, stop and start them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("All processors"))
        .subcommand(named("show", "One processor, partition by partition"))
        .subcommand(
            chosen(named("reset", "Move its positions, and lift every mark"), "Only these partitions")
                .arg(
                    start.help(
                        "0: process everything again, $: skip everything there is, after an id, or from a time on",
                    ),
                )
                .arg(force.help("Also where a worker owns the partition: it loses it")),
        )
        .subcommand(chosen(named("resume", "Try the failing event again"), "Only these; else all stopped ones"))
        .subcommand(chosen(
            named("skip", "Give up the failing event, and go on behind it"),
            "Only these, stopped or not; else all that stopped at an event",
        ))
        .subcommand(chosen(named("pause", "Stop it until it is resumed"), "Only these; else all"))
        .subcommand(named("forget", "It is gone for good: trimming no longer waits for it"))
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let broker = host.broker().await?;
    let broker = &*broker;
    let Some((verb, matches)) = matches.subcommand().filter(|(verb, _)| *verb != "list") else {
        return list(broker, out).await;
    };
    let name = matches.get_one::<String>("processor").expect("clap asks for the processor");
    let (group, surveyed) = processor(broker, name, matches.get_one::<String>("stream")).await?;
    let now = server_now(broker).await?;
    let report = ProcessorReport::of(&group.stream.name, name, &surveyed.partitions, now);
    if verb == "show" {
        return show(&report, out);
    }
    if verb == "forget" {
        return forget(broker, &group, out).await;
    }
    let chosen = chosen(verb, matches, &surveyed, &report)?;
    if verb == "reset" && !matches.get_flag("force") {
        refuse_owned(&report, &chosen)?;
    }
    let change = match verb {
        "reset" => Intervention::Reset(*matches.get_one::<Start>("start").expect("clap asks for the start")),
        "resume" => Intervention::Resume,
        "skip" => Intervention::Skip,
        _ => Intervention::Pause,
    };
    intervene(broker, &group, &chosen, &change, now, out).await
}

async fn list(broker: &dyn Broker, out: &mut Out) -> Result<(), End> {
    let now = server_now(broker).await?;
    let streams: Vec<StreamReport> =
        everything(broker).await?.iter().map(|surveyed| StreamReport::of(surveyed, now)).collect();
    let processors: Vec<&ProcessorReport> = streams.iter().flat_map(|stream| &stream.processors).collect();
    if out.is_json() { out.object(&processors) } else { print_processors(&processors, out) }
}

fn show(report: &ProcessorReport, out: &mut Out) -> Result<(), End> {
    if out.is_json() {
        return out.object(report);
    }
    out.line(&format!("processor {} of stream {}: lag {}", report.name, report.stream, or_unknown(report.lag)))?;
    out.line("")?;
    out.table(
        ["PARTITION", "POSITION", "LAG", "OWNER", "EPOCH", "STOPPED"],
        report.places.iter().map(|place| {
            let stopped = place.stopped.map(|kind| format!("{kind:?}").to_lowercase()).unwrap_or_default();
            let position = place.position.clone().unwrap_or_else(|| "none".into());
            let epoch = place.epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
            let owner = place.owner.clone().unwrap_or_default();
            [place.partition.to_string(), position, or_unknown(place.lag), owner, epoch, stopped]
        }),
    )?;
    print_stopped(&[report], out)
}

/// The partitions that are meant: the ones that were named, else those to which the verb applies.
fn chosen(verb: &str, matches: &ArgMatches, surveyed: &Surveyed, report: &ProcessorReport) -> Result<Vec<u32>, End> {
    let count = surveyed.stream.partitions;
    if let Some(named) = matches.get_many::<u32>("partition") {
        let mut named: Vec<u32> = named.copied().collect();
        named.sort_unstable();
        named.dedup();
        return match named.iter().find(|partition| **partition >= count) {
            None => Ok(named),
            Some(none) => {
                let text = format!("stream `{}` has partitions 0 to {}, and no {none}", report.stream, count - 1);
                Err(Failure::NotFound(text).into())
            }
        };
    }
    let stopped = |at_event: bool| -> Vec<u32> {
        let meant = report.stopped.iter().filter(|stop| !at_event || stop.kind != StopKind::Paused);
        meant.map(|stop| stop.partition).collect()
    };
    let found = match verb {
        "resume" => stopped(false),
        "skip" => stopped(true),
        _ => (0..count).collect(),
    };
    if found.is_empty() {
        let more =
            if verb == "skip" { "; to skip the next event of a running one, name it with --partition" } else { "" };
        return Err(Failure::NotFound(format!("no partition of `{}` is stopped{more}", report.name)).into());
    }
    Ok(found)
}

/// A reset under the hands of a worker would fence it out, and repeat or lose what it has in hand.
fn refuse_owned(report: &ProcessorReport, chosen: &[u32]) -> Result<(), End> {
    let owners: Vec<String> = report
        .owners
        .iter()
        .filter_map(|(worker, partitions)| {
            let held: Vec<u32> = partitions.iter().copied().filter(|partition| chosen.contains(partition)).collect();
            (!held.is_empty()).then(|| format!("{worker} ({})", ranges(held)))
        })
        .collect();
    if owners.is_empty() {
        return Ok(());
    }
    Err(End::Refused(format!(
        "processor `{}` is running: {} own partitions of it; stop these workers first, or repeat with --force, which takes \
         the partitions from them",
        report.name,
        owners.join(", ")
    )))
}

#[derive(Serialize)]
struct Changed {
    processor: String,
    stream: String,
    partition: u32,
    position: EventId,
}

async fn intervene(
    broker: &dyn Broker,
    group: &Group,
    chosen: &[u32],
    change: &Intervention,
    now: UnixMs,
    out: &mut Out,
) -> Result<(), End> {
    let (mut changed, mut outcome) = (Vec::new(), Ok(()));
    for &number in chosen {
        match change_one(broker, group, Partition(number), change, now).await {
            Ok(position) => changed.push(Changed {
                processor: group.processor.to_string(),
                stream: group.stream.name.clone(),
                partition: number,
                position,
            }),
            Err(failure) => {
                outcome = Err(failure.into());
                break;
            }
        }
    }
    // What was changed is told also where the rest could not be.
    if out.is_json() {
        out.object(&changed)?;
    } else {
        let done = match change {
            Intervention::Reset(_) => "reset",
            Intervention::Resume => "resumed",
            Intervention::Skip => "skipped",
            Intervention::DeadLetter { .. } => "dead-lettered",
            Intervention::Pause => "paused",
        };
        let rows = changed.iter().map(|one| [one.partition.to_string(), one.position.to_string(), done.to_owned()]);
        out.table(["PARTITION", "POSITION", "DONE"], rows)?;
    }
    outcome
}

/// Changes one place, and tells the group: a plan gives a stopped place to nobody, and one that runs again to somebody.
async fn change_one(
    broker: &dyn Broker,
    group: &Group,
    partition: Partition,
    change: &Intervention,
    now: UnixMs,
) -> Result<EventId, Failure> {
    let place = Place { group: group.clone(), partition };
    let doing = || format!("change partition {partition} of processor `{}`", group.processor);
    let position = broker.intervene(&place, change).await.doing(doing)?;
    let stop = (*change == Intervention::Pause).then(|| Stop {
        kind: StopKind::Paused,
        at: position,
        error: String::new(),
        since: now,
    });
    broker.note_stopped(group, partition, stop.as_ref()).await.doing(doing)?;
    Ok(position)
}

async fn forget(broker: &dyn Broker, group: &Group, out: &mut Out) -> Result<(), End> {
    let name = &group.processor;
    match broker.forget(group).await.doing(|| format!("forget processor `{name}`"))? {
        Forgotten::Gone { partitions } if out.is_json() => out
            .object(&serde_json::json!({ "processor": **name, "stream": group.stream.name, "partitions": partitions })),
        Forgotten::Gone { partitions } => out.line(&format!(
            "processor {name} is forgotten in {partitions} partitions of stream {}: trimming no longer waits for it",
            group.stream.name
        )),
        Forgotten::Owned { by, partition } => Err(End::Refused(format!(
            "processor `{name}` is running: worker {by} owns partition {partition}; stop its workers first"
        ))),
    }
}
