//! One run from an empty store to an empty store: connect, send, process, compare, clean up.

use std::io::Write;
use std::process::Stdio;

use futures::future::{try_join, try_join_all};
use runnel::broker::PartitionSurvey;
use runnel::prelude::*;
use runnel::settings::RedisUrl;
use runnel::{Connected, clock};
use tokio_util::sync::CancellationToken;

use super::chaos::{Chaos, Disturbances};
use super::crew::{Crew, Process, Terms};
use super::event::Flight;
use super::options::{Options, Trouble};
use super::progress::Progress;
use super::report::Report;
use super::source::Source;
use super::summaries::Summaries;
use super::{FLIGHTS, app, bad};

/// How many partitions [`FLIGHTS`] has.
const PARTITIONS: u32 = 16;
/// Between two looks at how far the workers are.
const LOOK: Duration = Duration::from_millis(50);
/// A run that stands still for so long is a failure.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Does all that was asked for. Answers whether everything was as it should be.
pub(crate) async fn whole(options: &Options) -> runnel::Result<bool> {
    // Whatever lies in the store already, or is put there meanwhile, is none of ours.
    let prefix = format!("flights-{}-{:08x}-", std::process::id(), fastrand::u32(..));
    let connection = app().setting("key_prefix", &prefix).connect_or("auto://").await?;
    connection.banner().into_iter().for_each(|banner| eprintln!("{banner}"));
    let summaries = Summaries::at(connection.url(), &prefix)?;

    let outcome = tokio::select! {
        outcome = everything(&connection, &summaries, &prefix, options) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    // Also after an error; which then is the one to tell.
    let cleaned = match summaries.erase(PARTITIONS).await {
        Ok(()) => connection.erase().await.map_err(runnel::Error::from),
        Err(error) => Err(error),
    };
    outcome.and_then(|is_right| cleaned.map(|_| is_right))
}

async fn everything(
    connection: &Connected,
    summaries: &Summaries,
    prefix: &str,
    options: &Options,
) -> runnel::Result<bool> {
    let source = Source::open()?;
    let terms = Terms::of(connection.url(), prefix, options);
    let began = clock::now();
    let disturbances = match is_in_this_process(connection.url()) {
        true => here(connection, summaries, &source, options).await?,
        false => in_processes(connection, &terms, &source, options).await?,
    };
    let took = clock::now().since(began);

    let fleet = summaries.fleet(PARTITIONS).await?;
    let report = Report::compare(&fleet.facts(&source.sha256, &source.samples()), &source.expected);
    println!("{report}");
    let (events, duplicates) = (fleet.events(), fleet.duplicates());
    let Disturbances { restarted, killed, paused } = disturbances;
    println!("{events} events in {took:.1?} by {} workers; {duplicates} came more than once", options.workers);
    if options.trouble != Trouble::None {
        let seed = options.seed;
        println!("{restarted} workers were stopped and replaced, {killed} killed, {paused} paused (--seed {seed})");
    }
    let is_right = report.all_agree() && (duplicates == 0 || disturbances.were_unclean());
    if report.all_agree() && !is_right {
        println!("WRONG: where every worker is stopped gracefully no event comes twice");
    }
    Ok(is_right & (!options.bad || bad::show(&terms).await?))
}

/// Whether there can be no other processes.
pub(crate) fn is_in_this_process(url: &RedisUrl) -> bool {
    url.scheme() == "memory"
}

async fn in_processes(
    connection: &Connected,
    terms: &Terms,
    source: &Source,
    options: &Options,
) -> runnel::Result<Disturbances> {
    let progress = Progress::of(source.flights.len() as u64);
    if options.trouble != Trouble::None {
        progress.say(&format!("disturbing the workers (--seed {})", options.seed));
    }
    let mut crew = Crew::start(terms.clone(), options.workers)?;
    let mut chaos = Chaos::new(options.trouble, options.seed, &progress);
    let work = async {
        let sending = send(terms, &source.flights);
        try_join(sending, processed(connection, &progress)).await
    };
    // What is dropped here has sent nothing that is still to be answered, or is an error's loser.
    let worked = tokio::select! {
        worked = work => worked.map(drop),
        failed = chaos.disturb(&mut crew) => failed,
    };
    progress.finish();
    worked?;
    let done = chaos.done;
    crew.dismiss().await?;
    Ok(done)
}

/// The sender: a process of its own, `sendmany` of this program's command line.
async fn send(terms: &Terms, flights: &[Flight]) -> runnel::Result {
    let mut command = terms.command(&["sendmany", FLIGHTS.name(), "-"])?;
    command.stdin(Stdio::piped());
    let mut sender = Process::start(command)?;
    let mut pipe = sender.take_stdin().ok_or("the sender has no stdin")?;
    let mut text = Vec::new();
    for flight in flights {
        serde_json::to_writer(&mut text, flight)?;
        text.push(b'\n');
    }
    // A pipe takes what its reader has room for. If the sender ends early, its status says so.
    let writing = std::thread::spawn(move || pipe.write_all(&text));
    let status = sender.ended().await?;
    let _ = writing.join();
    if status.success() { Ok(()) } else { Err(format!("the sender failed: {status}").into()) }
}

/// Waits until every event of the stream was sent and is settled.
async fn processed(connection: &Connected, progress: &Progress) -> runnel::Result {
    let (mut most, mut since) = (0, clock::now());
    loop {
        let partitions = connection.survey(FLIGHTS.name()).await?;
        let sent: u64 = partitions.iter().map(|partition| partition.added).sum();
        // Where no worker has been yet, everything waits.
        let lag = |partition: &PartitionSurvey| partition.groups.first().and_then(|group| group.lag);
        let waiting: u64 = partitions.iter().map(|partition| lag(partition).unwrap_or(partition.added)).sum();
        let settled = sent.saturating_sub(waiting);
        progress.is_at(settled);
        if settled == progress.events() {
            return Ok(());
        }
        if settled > most {
            (most, since) = (settled, clock::now());
        }
        if clock::now().since(since) > STANDSTILL {
            return Err(format!("{settled} of {sent} events are settled, and none in the last {STANDSTILL:?}").into());
        }
        clock::sleep(LOOK).await;
    }
}

/// Without a server: workers in this process, which cannot be killed or paused one by one.
async fn here(
    connection: &Connected,
    summaries: &Summaries,
    source: &Source,
    options: &Options,
) -> runnel::Result<Disturbances> {
    if options.trouble != Trouble::None {
        return Err("only processes can be disturbed, and on memory:// there is this one alone: install redis-server \
                    or name a RUNNEL_REDIS_URL"
            .into());
    }
    eprintln!("the {} workers run in this process, and so does the sender", options.workers);
    summaries.hold_here();
    options.pace.hold_here();
    let progress = Progress::of(source.flights.len() as u64);
    let done = CancellationToken::new();
    let workers = (0..options.workers).map(|_| connection.work_until(done.cancelled()));
    let work = async {
        connection.stream(&FLIGHTS).send_all(source.flights.iter().cloned()).await?;
        processed(connection, &progress).await?;
        done.cancel();
        Ok(())
    };
    let working = async { Ok::<_, runnel::Error>(try_join_all(workers).await?) };
    let worked = try_join(working, work).await;
    progress.finish();
    worked.map(|_| Disturbances::default())
}
