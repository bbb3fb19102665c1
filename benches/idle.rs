//! What a worker costs that has nothing to do: memory, processor time, commands to Redis.
//!
//! ```text
//! cargo bench --bench idle
//! RUNNEL_BENCH_SECONDS=60 cargo bench --bench idle
//! ```
//!
//! Targets: 14 MB at 16 partitions and 16 MB at 256; less than 0.1 % of a core; less than 5 commands a second, and one
//! for each partition in a third of the lease.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and is no part of an app")]
#![allow(clippy::print_stdout, reason = "the figures are its result")]

#[path = "support/client.rs"]
#[allow(dead_code, reason = "only other benchmarks read entries with it")]
mod client;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "nothing is sent to an idle worker, and it is not killed")]
mod process;
#[path = "support/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use client::Client;
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
    println!("{:>10}{:>10}{:>9}{:>13}{:>9}{:>12}", "partitions", "memory", "CPU", "commands/s", "target", "Redis CPU");
    for partitions in [16, 256, 4096] {
        measure(partitions, Duration::from_secs(seconds))?;
    }
    Ok(())
}

fn measure(partitions: u32, time: Duration) -> runnel::Result {
    let server = Server::start()?;
    let mut control = Client::connect(server.port)?;
    let ground = Ground { port: server.port, app: "idle".into(), partitions, lease: LEASE };
    let began = process::now();
    let worker = Process::start(&ground)?;
    wait_until_all_is_owned(&ground, &mut control)?;
    let owned_after = process::now() - began;
    // What was begun is over: every partition was read, looked at for trimming, and waits in a blocking read.
    std::thread::sleep(LEASE);

    let (before, busy_before, redis_before) = (sent(&mut control)?, worker.cpu()?, redis_cpu(&mut control)?);
    std::thread::sleep(time);
    let (after, busy, redis) =
        (sent(&mut control)?, worker.cpu()? - busy_before, redis_cpu(&mut control)? - redis_before);

    let a_second = |calls: u64| calls as f64 / time.as_secs_f64();
    let calls: BTreeMap<&str, u64> =
        after.iter().map(|(name, calls)| (name.as_str(), calls - before.get(name).unwrap_or(&0))).collect();
    println!(
        "{partitions:>10}{:>7.1} MB{:>7.3} %{:>13.1}{:>9.1}{:>10.3} %",
        worker.memory()? as f64 / 1e6,
        100.0 * busy.as_secs_f64() / time.as_secs_f64(),
        a_second(calls.values().sum()),
        5.0 + f64::from(partitions) / (LEASE / 3).as_secs_f64(),
        100.0 * redis / time.as_secs_f64(),
    );
    let each = calls.iter().filter(|(_, calls)| **calls > 0);
    println!(
        "{:>10}  owned after {owned_after:.2?};{}",
        "",
        each.map(|(name, calls)| format!("  {name} {:.1}", a_second(*calls))).collect::<String>()
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

/// How often each command was sent. What scripts call in the server is counted there too, but sent by nobody.
fn sent(control: &mut Client) -> runnel::Result<BTreeMap<String, u64>> {
    const SENT: [&str; 9] =
        ["evalsha", "eval", "xread", "client|unblock", "ping", "smembers", "script|load", "xadd", "auth"];
    let info = control.call("INFO commandstats")?;
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().ok()?;
        SENT.contains(&name).then(|| (name.to_owned(), calls))
    };
    Ok(info.lines().filter_map(line).collect())
}

/// Seconds of the server, in user and system.
fn redis_cpu(control: &mut Client) -> runnel::Result<f64> {
    let info = control.call("INFO cpu")?;
    let of = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    of("used_cpu_user:")
        .zip(of("used_cpu_sys:"))
        .map(|(user, system)| user + system)
        .ok_or_else(|| "no CPU time".into())
}
