//! `processor replay`: asks the program to process a range once more under another name, and tells how far it came.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use crate::error::Failure;
use crate::event::{EventId, Partition};
use crate::worker::replay::{Replay, Replayed, ReplayedPlace};

use crate::cli::bounds::{Bound, range, read_bound};
use crate::cli::output::grouped;
use crate::cli::{End, Host, Out};

const ABOUT: &str = "Process a range of events once more under another name, here and now";

const LONG: &str = "Process a range of events once more under another name, here and now.

The function of PROCESSOR runs in this process as the processor OTHER, with positions of its own, until every \
partition has passed the end of the range; then OTHER is forgotten. PROCESSOR itself is not disturbed. What the \
function does happens once more: idempotency keys end with OTHER, so they are others than the first time.";

pub(super) fn command() -> Command {
    let bound = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("TIME|ID").value_parser(read_bound).help(help)
    };
    let into = Arg::new("into").long("into").value_name("OTHER").required(true);
    let keep = Arg::new("keep").long("keep").action(ArgAction::SetTrue);
    Command::new("replay")
        .about(ABOUT)
        .long_about(LONG)
        .arg(Arg::new("processor").value_name("PROCESSOR").required(true))
        .arg(into.help("The name it runs under: a new one"))
        .arg(bound("from", "From this event or time on").required(true))
        .arg(bound("to", "Up to this event, or before this time; else up to the last event there is now"))
        .arg(keep.help("Do not forget OTHER at the end: trimming waits for it until `processor forget`"))
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let text = |name: &str| matches.get_one::<String>(name).cloned().expect("clap asks for it");
    let bound = |name: &str| matches.get_one::<Bound>(name).copied();
    let (from, to) = range(bound("from"), bound("to"))?;
    let replay = Replay {
        processor: text("processor"),
        into: text("into"),
        from,
        to,
        partitions: matches.get_many::<u32>("partition").into_iter().flatten().copied().map(Partition).collect(),
        keep: matches.get_flag("keep"),
    };
    let replayed = host.replay(&replay).await?;
    tell(&replay, &replayed, out)?;
    judge(&replay, &replayed)
}

#[derive(Serialize)]
struct Report<'a> {
    processor: &'a str,
    into: &'a str,
    stream: &'a str,
    handled: u64,
    kept: bool,
    places: Vec<PlaceReport>,
}

#[derive(Serialize)]
struct PlaceReport {
    partition: u32,
    /// The last event of the range.
    until: EventId,
    position: EventId,
    done: bool,
    error: Option<String>,
}

fn tell(replay: &Replay, replayed: &Replayed, out: &mut Out) -> Result<(), End> {
    if out.is_json() {
        let place = |place: &ReplayedPlace| PlaceReport {
            partition: place.partition.0,
            until: place.until,
            position: place.position,
            done: place.is_done,
            error: place.stop.as_ref().map(|stop| stop.error.clone()),
        };
        return out.object(&Report {
            processor: &replay.processor,
            into: &replay.into,
            stream: &replayed.stream,
            handled: replayed.handled,
            kept: replayed.is_kept,
            places: replayed.places.iter().map(place).collect(),
        });
    }
    let rows = replayed.places.iter().map(|place| {
        let end = match &place.stop {
            Some(stop) => format!("stopped at {}: {}", stop.at, stop.error),
            None if place.is_done => "done".into(),
            None => "not done".into(),
        };
        [place.partition.to_string(), place.until.to_string(), place.position.to_string(), end]
    });
    out.table(["PARTITION", "UNTIL", "POSITION", "END"], rows)?;
    let Replay { processor, into, .. } = replay;
    out.line(&format!(
        "{} events of stream {} were handled by {processor} as {into}",
        grouped(replayed.handled),
        replayed.stream
    ))?;
    match replayed.is_kept {
        true => out.line(&format!("{into} is kept: trimming waits for it until `processor forget {into}`")),
        false => Ok(()),
    }
}

/// Whether all of it was done.
fn judge(replay: &Replay, replayed: &Replayed) -> Result<(), End> {
    let Replay { processor, into, .. } = replay;
    if let Some((place, stop)) = replayed.places.iter().find_map(|place| Some((place, place.stop.as_ref()?))) {
        return Err(Failure::Halted(format!(
            "the replay of `{processor}` into `{into}` has stopped in partition {} at event {}: {}. After a fix it can be done \
             again from there with --from {} --partition {}",
            place.partition, stop.at, stop.error, stop.at, place.partition
        ))
        .into());
    }
    match replayed.places.iter().all(|place| place.is_done) {
        true => Ok(()),
        false => Err(End::Refused(format!(
            "the replay of `{processor}` into `{into}` was told to end before it was done; it can be done again from the \
             positions above with --from and --partition"
        ))),
    }
}
