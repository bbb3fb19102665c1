//! `--bad`: 300 lines that are no flights, sent as they are to three streams, and what three policies do with them.
//!
//! They are written as raw entries, as any other program could write them: [`Line`] has the field that records lie in,
//! and anything in it. Each is a failure of its event, which is decided by the policy of the processor that meets it.

use std::collections::BTreeMap;
use std::process::Stdio;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use runnel::broker::PartitionSurvey;
use runnel::prelude::*;
use runnel::{Connected, Failure, clock};
use rustix::process::Signal;
use serde_json::Value;

use super::crew::{Process, Terms};
use super::event::Flight;
use super::run::is_in_this_process;

/// Each stream has so many partitions.
const PARTITIONS: u32 = 4;
/// A worker needs far less for 300 lines.
const PATIENCE: Duration = Duration::from_secs(30);

#[runnel::stream]
static FOR_IGNORE: Stream<Flight> = Stream::new("bad-ignore", |flight| (&flight.tail).into()).partitions(4);
#[runnel::stream]
static FOR_QUARANTINE: Stream<Flight> = Stream::new("bad-quarantine", |flight| (&flight.tail).into()).partitions(4);
#[runnel::stream]
static FOR_HALT: Stream<Flight> = Stream::new("bad-halt", |flight| (&flight.tail).into()).partitions(4);

#[runnel::processor(FOR_IGNORE, exception_policy = "ignore")]
async fn ignoring(_: Flight) {}

#[runnel::processor(FOR_QUARANTINE, exception_policy = "quarantine")]
async fn quarantining(_: Flight) {}

#[runnel::processor(FOR_HALT, exception_policy = "halt")]
async fn halting(_: Flight) {}

/// An entry with anything in it.
#[derive(Clone, Record)]
#[record(primitive)]
struct Line {
    data: Vec<u8>,
}

/// Sends them, lets workers meet them, prints what happened. Answers whether that is what should.
pub(crate) async fn show(terms: &Terms) -> runnel::Result<bool> {
    let expected: Value = serde_json::from_str(include_str!("../data/bad_expected.json"))?;
    let lines = lines();
    let refused = refusals(&lines);
    let mut is_right = serde_json::to_value(&refused)? == expected["by_reason"];
    println!("\n{} lines that are no flights, sent to three streams of {PARTITIONS} partitions:", lines.len());
    let told: Vec<_> = refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    println!("{}", told.join(", "));

    let all = expected["lines"].as_u64().ok_or("bad_expected.json does not say how many lines there are")?;
    let bare = || App::bare("flights").redis(terms.url.expose()).setting("key_prefix", &terms.prefix);
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["policy", "given up", "waiting", "partitions stopped", "worker"]);
    for (policy, stream, processor, app) in [
        ("ignore", &FOR_IGNORE, "ignoring", bare().with::<ignoring>()),
        ("quarantine", &FOR_QUARANTINE, "quarantining", bare().with::<quarantining>()),
        ("halt", &FOR_HALT, "halting", bare().with::<halting>()),
    ] {
        let place = app.connect().await?;
        let raw = Stream::new(stream.name(), |line: &Line| (&line.data[..]).into()).partitions(PARTITIONS);
        place.stream(&raw).send_all(lines.iter().cloned()).await?;
        let code = meet(&place, terms, stream.name(), processor).await?;
        let found = Found::of(&place.survey(stream.name()).await?);
        is_right &= found.is_right(policy, all, code);
        let worker = match code {
            0 => "went on until it was drained".to_owned(),
            code => format!("drained and exited with {code}"),
        };
        let stopped = format!("{} of {PARTITIONS}", found.errors.len());
        table.add_row([policy, &found.settled.to_string(), &found.waiting.to_string(), &stopped, &worker]);
        found.errors.first().into_iter().for_each(|error| println!("{policy}: {error}"));
    }
    println!("{table}\n{}", if is_right { "All as it should be." } else { "WRONG: this is not as it should be." });
    Ok(is_right)
}

fn lines() -> Vec<Line> {
    let text = include_bytes!("../data/bad_events.jsonl");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Line { data: line.to_vec() }).collect()
}

/// How many lines are refused for each reason; a line that is not refused shows as `none`.
fn refusals(lines: &[Line]) -> BTreeMap<String, u64> {
    let mut refused = BTreeMap::new();
    for line in lines {
        let reason = Flight::read(&line.data).err().map_or("none".into(), |refused| refused.reason.to_string());
        *refused.entry(reason).or_default() += 1;
    }
    refused
}

/// Runs a worker until nothing is left to be decided, or until it is ended by what it met. Answers its exit code, or
/// what that would be in this process.
async fn meet(place: &Connected, terms: &Terms, stream: &str, processor: &str) -> runnel::Result<i32> {
    if is_in_this_process(place.url()) {
        let met = async {
            if let Err(error) = decided(place, stream).await {
                eprintln!("{error}");
            }
        };
        return code(place.work_until(met).await);
    }
    let mut worker = worker(terms, processor)?;
    tokio::select! {
        ended = worker.ended() => return Ok(ended?.code().unwrap_or(-1)),
        decided = decided(place, stream) => decided?,
    }
    worker.send(Signal::TERM);
    Ok(worker.ended().await?.code().unwrap_or(-1))
}

fn worker(terms: &Terms, processor: &str) -> std::io::Result<Process> {
    let mut command = terms.command(&["worker", "--processors", processor])?;
    // It logs an error for each of the lines, as it should.
    command.stderr(Stdio::null());
    Process::start(command)
}

fn code(ended: Result<(), Failure>) -> runnel::Result<i32> {
    match ended {
        Ok(()) => Ok(0),
        Err(Failure::Halted(_)) => Ok(70),
        Err(failure) => Err(failure.into()),
    }
}

/// Waits until each line is given up, or lies behind one that has stopped its partition. A worker that is to halt ends
/// before that: the first partition that stops ends it.
async fn decided(place: &Connected, stream: &str) -> runnel::Result {
    let until = clock::now() + PATIENCE;
    loop {
        let found = Found::of(&place.survey(stream).await?);
        if found.settled > 0 && found.waiting == 0 || found.errors.len() == PARTITIONS as usize {
            return Ok(());
        }
        if clock::now() > until {
            return Err(format!("the lines of `{stream}` were not decided within {PATIENCE:?}").into());
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
}

/// What became of the lines in one stream.
struct Found {
    settled: u64,
    waiting: u64,
    /// Why partitions are stopped, one each.
    errors: Vec<String>,
}

impl Found {
    fn of(partitions: &[PartitionSurvey]) -> Self {
        let groups = || partitions.iter().flat_map(|partition| &partition.groups);
        let sent: u64 = partitions.iter().map(|partition| partition.added).sum();
        // Where no worker has been yet, everything waits.
        let lag = |partition: &PartitionSurvey| partition.groups.first().and_then(|group| group.lag);
        let waiting = partitions.iter().map(|partition| lag(partition).unwrap_or(partition.added)).sum();
        let stops = groups().filter_map(|group| group.fence.as_ref()?.stop.as_ref());
        let errors = stops.map(|stop| stop.error.clone()).collect();
        Self { settled: sent.saturating_sub(waiting), waiting, errors }
    }

    fn is_right(&self, policy: &str, lines: u64, code: i32) -> bool {
        let (settled, waiting, stopped) = (self.settled, self.waiting, self.errors.len());
        match policy {
            "ignore" => (settled, waiting, stopped, code) == (lines, 0, 0, 0),
            "quarantine" => (settled, waiting, stopped, code) == (0, lines, PARTITIONS as usize, 0),
            _ => (settled, waiting, code) == (0, lines, 70) && stopped >= 1,
        }
    }
}
