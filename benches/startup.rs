//! How long work stands still when workers come and go: from the start of a process to its first event, in an orderly
//! hand-over, after a crash.
//!
//! ```text
//! cargo bench --bench startup
//! RUNNEL_BENCH_ROUNDS=9 cargo bench --bench startup
//! ```
//!
//! Targets: 0.3 s; 0.25 to 0.3 s; 3.5 s above the lease. A pause is the age of the oldest event when it was handled,
//! while events are sent all the time.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and is no part of an app")]
#![allow(clippy::print_stdout, reason = "the figures are its result")]

#[path = "support/client.rs"]
#[allow(dead_code, reason = "only other benchmarks read entries with it")]
mod client;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "what a worker costs is measured elsewhere")]
mod process;
#[path = "support/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::Client;
use process::{Ground, Letter, Process, now};
use server::Server;

const PARTITIONS: u32 = 16;
const LEASE: Duration = Duration::from_secs(2);
/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> runnel::Result {
    if process::run_if_told()? {
        return Ok(());
    }
    let rounds = match std::env::var("RUNNEL_BENCH_ROUNDS") {
        Ok(text) => text.parse().map_err(|_| format!("RUNNEL_BENCH_ROUNDS is `{text}`: expected a number"))?,
        Err(_) => 5,
    };
    let server = Server::start()?;
    let ground = |name: &str, round| Ground {
        port: server.port,
        app: format!("{name}-{round}"),
        partitions: PARTITIONS,
        lease: LEASE,
        task_log: true,
    };
    let all = |measured: fn(&Ground) -> runnel::Result<Duration>, name| {
        (0..rounds).map(|round| measured(&ground(name, round))).collect::<runnel::Result<Vec<_>>>()
    };
    say("process start to first event", all(start_to_first_event, "start")?);
    say("a worker joins: pause", all(join, "join")?);
    say("a worker drains: pause", all(hand_over, "drain")?);
    say(&format!("a worker is killed: pause, lease {LEASE:?}"), all(crash, "crash")?);
    Ok(())
}

fn say(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let each = times.iter().map(|time| format!(" {:.3}", time.as_secs_f64())).collect::<String>();
    println!("{what:<42} median {:.3} s  ({} rounds:{each})", times[times.len() / 2].as_secs_f64(), times.len());
}

fn start_to_first_event(ground: &Ground) -> runnel::Result<Duration> {
    let sender = Sender::start(ground, 1)?;
    sender.stop()?;
    let began = now();
    let worker = Process::start(ground)?;
    worker.ages.recv_timeout(PATIENCE)?;
    Ok(now() - began)
}

fn join(ground: &Ground) -> runnel::Result<Duration> {
    pause_while(ground, 1, |workers| {
        workers.push(Process::start(ground)?);
        Ok(())
    })
}

fn hand_over(ground: &Ground) -> runnel::Result<Duration> {
    pause_while(ground, 2, |workers| {
        workers[0].tell_to_drain();
        Ok(())
    })
}

fn crash(ground: &Ground) -> runnel::Result<Duration> {
    pause_while(ground, 2, |workers| Ok(workers[0].kill()?))
}

/// The age of the oldest event that was handled from `change` on until the partitions are shared out anew.
fn pause_while(
    ground: &Ground,
    workers: usize,
    change: impl FnOnce(&mut Vec<Process>) -> runnel::Result,
) -> runnel::Result<Duration> {
    let mut control = Client::connect(ground.port)?;
    let mut running = (0..workers).map(|_| Process::start(ground)).collect::<runnel::Result<Vec<_>>>()?;
    let sender = Sender::start(ground, u64::MAX)?;
    wait_for_share(ground, &mut control, workers)?;
    let others: BTreeSet<String> = owners(ground, &mut control)?.into_iter().collect();
    // The backlog from before they were there is worked off.
    std::thread::sleep(Duration::from_millis(500));
    running.iter().for_each(|worker| worker.ages.try_iter().for_each(drop));

    change(&mut running)?;
    let wanted = if running.len() > workers { 2 } else { 1 };
    let began = now();
    loop {
        let owners = owners(ground, &mut control)?;
        let each: BTreeSet<&String> = owners.iter().collect();
        let is_shared = owners.len() == PARTITIONS as usize && each.len() == wanted;
        if is_shared && (wanted == 2 || each.iter().all(|owner| others.contains(*owner))) {
            break;
        }
        if now() - began > PATIENCE {
            return Err(format!("{wanted} workers were to own all partitions: {owners:?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    sender.stop()?;
    let ages = running.iter().flat_map(|worker| worker.ages.try_iter());
    ages.max().ok_or_else(|| "nothing was handled".into())
}

fn wait_for_share(ground: &Ground, control: &mut Client, workers: usize) -> runnel::Result {
    let began = now();
    loop {
        let owners = owners(ground, control)?;
        let each: BTreeSet<&String> = owners.iter().collect();
        let share = PARTITIONS as usize / workers;
        let count = |one: &String| owners.iter().filter(|owner| *owner == one).count();
        if each.len() == workers && each.iter().all(|owner| count(owner) == share) {
            return Ok(());
        }
        if now() - began > PATIENCE {
            return Err(format!("{workers} workers do not share the partitions: {owners:?}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The workers that hold partitions now, one for each that is held.
fn owners(ground: &Ground, control: &mut Client) -> runnel::Result<Vec<String>> {
    let mut owners = Vec::new();
    for fence in ground.fences() {
        if !control.call(&format!("HGET {fence} owner"))?.is_empty() {
            owners.push(control.call(&format!("HGET {fence} worker"))?);
        }
    }
    Ok(owners)
}

/// Sends a letter to each partition every few milliseconds.
struct Sender {
    stopped: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl Sender {
    fn start(ground: &Ground, rounds: u64) -> runnel::Result<Self> {
        let stopped: Arc<AtomicBool> = Arc::default();
        let (stop, ground) = (stopped.clone(), ground.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            runtime.block_on(send(&ground, rounds, &stop)).map_err(|error| error.to_string())
        });
        Ok(Self { stopped, thread })
    }

    /// Waits for what was begun.
    fn stop(self) -> runnel::Result {
        self.stopped.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the sender panicked")??)
    }
}

async fn send(ground: &Ground, rounds: u64, stopped: &AtomicBool) -> runnel::Result {
    let connected = ground.app().connect().await?;
    let stream = connected.stream(&ground.letters());
    for round in 0..rounds {
        if round > 0 && stopped.load(Ordering::Relaxed) {
            break;
        }
        // Enough different keys to meet every partition.
        let numbers = round * 64..(round + 1) * 64;
        stream.send_all(numbers.map(Letter::now)).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
