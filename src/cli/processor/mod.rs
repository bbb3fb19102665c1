//! `processor list | show | reset | resume | skip | dead-letter | pause | forget | replay`: how far each is, and an
//! operator's hand.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::broker::{Broker, Forgotten, Group};
use crate::error::Doing;
use crate::settings::read_start;

use super::lookup::{all, everything, processor, without_own};
use super::output::or_unknown;
use super::report::{ProcessorReport, StreamReport};
use super::status::{print_processors, print_stopped};
use super::stream::server_now;
use super::{End, Host, Out};

mod replay;
mod steer;

use steer::{Steering, Verb};

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
        .subcommand(Command::new("list").about("All processors").arg(all()))
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
        .subcommand(chosen(
            named("dead-letter", "Give up the failing event, keep it as a dead letter, and go on behind it"),
            "Only these, stopped or not; else all that stopped at an event",
        ))
        .subcommand(chosen(named("pause", "Stop it until it is resumed"), "Only these; else all"))
        .subcommand(named("forget", "It is gone for good: trimming no longer waits for it"))
        .subcommand(chosen(replay::command(), "Only these partitions"))
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    if let Some(("replay", matches)) = matches.subcommand() {
        return replay::run(matches, host, out).await;
    }
    let broker = host.broker().await?;
    let broker = &*broker;
    let (verb, matches) = matches.subcommand().expect("clap asks for a command");
    if verb == "list" {
        return list(broker, matches.get_flag("all"), out).await;
    }
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
    let verb = Verb::of(verb, matches, host.dead_letter_size(&group.stream.name));
    let steering = Steering { broker, group: &group, surveyed: &surveyed, report: &report, now };
    let chosen = steering.chosen(&verb, matches)?;
    steering.run(&verb, &chosen, matches.try_get_one::<bool>("force").ok().flatten() == Some(&true), out).await
}

async fn list(broker: &dyn Broker, all: bool, out: &mut Out) -> Result<(), End> {
    let now = server_now(broker).await?;
    let mut streams: Vec<StreamReport> =
        everything(broker).await?.iter().map(|surveyed| StreamReport::of(surveyed, now)).collect();
    if !all {
        without_own(&mut streams);
    }
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
