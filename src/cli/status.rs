//! `status`: is everything all right, and if not, where?

use clap::{ArgMatches, Command};
use serde::Serialize;

use crate::broker::LeaderEntry;
use crate::error::{Doing, Failure};

use super::lookup::{all, everything, without_own};
use super::output::{grouped, instant, or_unknown, ranges};
use super::report::{HeldBack, ProcessorReport, StreamReport};
use super::workers::WorkerReport;
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Streams, processors and workers: who owns what, how far behind, what is stopped and why, what was given up")
        .arg(all())
}

#[derive(Serialize)]
struct Status {
    app: String,
    address: String,
    server: String,
    now: String,
    persistence: String,
    replicas: u32,
    leader: Option<Leader>,
    streams: Vec<StreamReport>,
    workers: Vec<WorkerReport>,
}

/// Who runs the jobs of the fleet.
#[derive(Serialize)]
struct Leader {
    worker: String,
    term: u64,
    /// It is replaced then, unless it bids again.
    until: String,
    generation: u64,
    version: String,
}

impl Leader {
    fn of(entry: &LeaderEntry) -> Self {
        Self {
            worker: entry.worker.clone(),
            term: entry.term.0,
            until: instant(entry.until),
            generation: entry.generation.number,
            version: entry.generation.version.clone(),
        }
    }
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let mut status = gather(host).await?;
    if !matches.get_flag("all") {
        without_own(&mut status.streams);
    }
    if out.is_json() { out.object(&status) } else { print(&status, out) }
}

async fn gather(host: &dyn Host) -> Result<Status, Failure> {
    let broker = host.broker().await?;
    let server = broker.server().await.doing(|| "look at the server".into())?;
    let workers = broker.workers().await.doing(|| "list the workers".into())?;
    let leader = broker.leader().await.doing(|| "look who leads".into())?;
    let (major, minor, patch) = server.version;
    Ok(Status {
        app: host.app().to_owned(),
        address: broker.address(),
        server: format!("{} {major}.{minor}.{patch}", server.product),
        now: instant(server.now),
        persistence: server.persistence,
        replicas: server.replicas,
        streams: everything(&*broker).await?.iter().map(|surveyed| StreamReport::of(surveyed, server.now)).collect(),
        workers: workers.iter().map(|worker| WorkerReport::of(worker, leader.as_ref())).collect(),
        leader: leader.as_ref().map(Leader::of),
    })
}

fn print(status: &Status, out: &mut Out) -> Result<(), End> {
    out.line(&format!("app {} on {} at {}", status.app, status.server, status.address))?;
    out.line(&format!(
        "persistence: {}; replicas: {}; workers: {}",
        status.persistence,
        status.replicas,
        status.workers.len()
    ))?;
    if let Some(leader) = &status.leader {
        let version = if leader.version.is_empty() { String::new() } else { format!(", version {}", leader.version) };
        out.line(&format!(
            "leader: {} in term {}; generation {}{version}",
            leader.worker, leader.term, leader.generation
        ))?;
    }
    if status.streams.is_empty() {
        return out.line("no stream was declared yet: streams are when they are first sent to or processed");
    }
    out.line("")?;
    out.table(
        ["STREAM", "PARTITIONS", "EVENTS", "FULLEST", "DEAD LETTERS", "TRIMMING WAITS FOR"],
        status.streams.iter().map(|stream| {
            let waits = stream.held_back_by.as_ref().map(waits_for).unwrap_or_default();
            let [events, fullest, letters] = [stream.events, stream.fullest, stream.dead_letters].map(grouped);
            [stream.name.clone(), stream.partitions.to_string(), events, fullest, letters, waits]
        }),
    )?;
    let processors: Vec<&ProcessorReport> = status.streams.iter().flat_map(|stream| &stream.processors).collect();
    if !processors.is_empty() {
        out.line("")?;
        print_processors(&processors, out)?;
        print_stopped(&processors, out)?;
    }
    if !status.workers.is_empty() {
        out.line("")?;
        super::workers::print(&status.workers, out)?;
    }
    Ok(())
}

pub(super) fn waits_for(held: &HeldBack) -> String {
    match held.events {
        Some(events) => format!("{} ({} events)", held.processor, grouped(events)),
        None => format!("{} (it has no position)", held.processor),
    }
}

/// One line for each processor.
pub(super) fn print_processors(processors: &[&ProcessorReport], out: &mut Out) -> Result<(), End> {
    out.table(
        ["PROCESSOR", "STREAM", "LAG", "OWNED BY", "UNOWNED", "STOPPED"],
        processors.iter().map(|processor| {
            let name =
                if processor.registered { processor.name.clone() } else { format!("{} (not ours)", processor.name) };
            let owners: Vec<String> = processor
                .owners
                .iter()
                .map(|(worker, places)| format!("{worker}: {}", ranges(places.iter().copied())))
                .collect();
            let unowned = if processor.registered { ranges(processor.unowned.iter().copied()) } else { String::new() };
            let stopped = ranges(processor.stopped.iter().map(|stop| stop.partition));
            [name, processor.stream.clone(), or_unknown(processor.lag), owners.join("; "), unowned, stopped]
        }),
    )
}

/// One line for each stopped partition, if there are any.
pub(super) fn print_stopped(processors: &[&ProcessorReport], out: &mut Out) -> Result<(), End> {
    let rows: Vec<[String; 6]> = processors
        .iter()
        .flat_map(|processor| processor.stopped.iter().map(move |stop| (processor, stop)))
        .map(|(processor, stop)| {
            let kind = format!("{:?}", stop.kind).to_lowercase();
            let [event, since, error] = [&stop.event, &stop.since, &stop.error].map(Clone::clone);
            [processor.name.clone(), stop.partition.to_string(), kind, event, since, error]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(["STOPPED", "PARTITION", "BY", "AT EVENT", "SINCE", "ERROR"], rows)
}
