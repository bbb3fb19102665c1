//! What a worker costs that has nothing to do: memory, processor time, commands to Redis. Without a task log and with one,
//! whose projector is a second processor with 16 partitions of its own.
//!
//! ```text
//! cargo bench --bench idle
//! RUNNEL_BENCH_SECONDS=60 cargo bench --bench idle
//! ```
//!
//! Targets: 14 MB at 16 partitions, 16 MB at 256 and 48 MB at 4,096; less than 0.1 % of a core up to 256; less than 5
//! commands a second, and one for each partition in a third of the lease. The commands are counted afterwards, by a server
//! that is watched and has more to do for that.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and is no part of an app")]
#![allow(clippy::print_stdout, reason = "the figures are its result")]

#[path = "support/client.rs"]
#[allow(dead_code, reason = "only other benchmarks read entries with it")]
mod client;
#[path = "support/costs.rs"]
#[allow(dead_code, reason = "a worker in a process of its own is metered from outside")]
mod costs;
#[path = "support/monitor.rs"]
mod monitor;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "nothing is sent to an idle worker, and it is not killed")]
mod process;
#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use client::Client;
use costs::redis_cpu;
use monitor::Monitor;
use process::{Ground, Process};
use server::Server;

const LEASE: Duration = Duration::from_secs(10);

fn main() -> runnel::Result {
    if process::run_if_told()? {
        return Ok(());
    }
    let seconds = match std::env::var("RUNNEL_BENCH_SECONDS") {
        Ok(text) => text.parse().map_err(|_| format!("RUNNEL_BENCH_SECONDS is `{text}`: expected a number"))?,
        Err(_) => 20,
    };
    println!(
        "{:>10}{:>10}{:>10}{:>9}{:>13}{:>9}{:>12}",
        "partitions", "task log", "memory", "CPU", "commands/s", "target", "Redis CPU"
    );
    for partitions in [16, 256, 4096] {
        for task_log in [false, true] {
            measure(partitions, task_log, Duration::from_secs(seconds))?;
        }
    }
    Ok(())
}

fn measure(partitions: u32, task_log: bool, time: Duration) -> runnel::Result {
    let server = Server::start()?;
    let mut control = Client::connect(server.port)?;
    let ground = Ground { port: server.port, app: "idle".into(), partitions, lease: LEASE, task_log };
    let began = process::now();
    let worker = Process::start(&ground)?;
    wait_until_all_is_owned(&ground, &mut control)?;
    let owned_after = process::now() - began;
    // What was begun is over: every partition was read, looked at for trimming, and waits in a blocking read.
    std::thread::sleep(LEASE);

    let (busy_before, redis_before) = (worker.cpu()?, redis_cpu(&mut control)?);
    std::thread::sleep(time);
    let (busy, redis) = (worker.cpu()? - busy_before, redis_cpu(&mut control)? - redis_before);
    let monitor = Monitor::start(server.port)?;
    std::thread::sleep(time);
    let calls = monitor.stop()?;

    let a_second = |calls: u64| calls as f64 / time.as_secs_f64();
    let of_a_core = |busy: Duration| 100.0 * busy.as_secs_f64() / time.as_secs_f64();
    println!(
        "{partitions:>10}{:>10}{:>7.1} MB{:>7.3} %{:>13.1}{:>9.1}{:>10.3} %",
        if task_log { "on" } else { "off" },
        worker.memory()? as f64 / 1e6,
        of_a_core(busy),
        a_second(calls.values().sum()),
        5.0 + f64::from(partitions) / (LEASE / 3).as_secs_f64(),
        of_a_core(redis),
    );
    println!(
        "{:>10}  owned after {owned_after:.2?};{}",
        "",
        calls.iter().map(|(name, calls)| format!("  {name} {:.1}", a_second(*calls))).collect::<String>()
    );
    Ok(())
}

fn wait_until_all_is_owned(ground: &Ground, control: &mut Client) -> runnel::Result {
    for fence in ground.fences() {
        let mut tries = 0;
        while control.call(&format!("HGET {fence} worker"))?.is_empty() {
            tries += 1;
            if tries > 3_000 {
                return Err(format!("the worker did not take {fence}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
