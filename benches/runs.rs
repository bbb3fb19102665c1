//! What it costs to write runs down: for each run of a timer, and for a processor whose tenancies, batches or events are
//! runs. Beside the same without a task log, in the same round, on a redis-server of its own.
//!
//! ```text
//! cargo bench --bench runs
//! RUNNEL_BENCH_ROUNDS=21 RUNNEL_BENCH_EVENTS=1000000 cargo bench --bench runs
//! ```
//!
//! Targets: less than 0.2 ms for each run at the median; less than 2 % of a processor's throughput where its tenancies are
//! runs. On a busy machine trust the CPU time and the ratios, which compare within one round.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and is no part of an app")]
#![allow(clippy::print_stdout, reason = "the figures are its result")]

#[path = "support/client.rs"]
#[allow(dead_code, reason = "only other benchmarks read entries with it")]
mod client;
#[path = "support/costs.rs"]
#[allow(dead_code, reason = "what takes long is timed run by run and event by event")]
mod costs;
#[path = "support/monitor.rs"]
mod monitor;
#[path = "support/order.rs"]
#[allow(dead_code, reason = "how late orders come is measured elsewhere")]
mod order;
#[path = "support/server.rs"]
mod server;

#[path = "runs/processors.rs"]
mod processors;
#[path = "runs/timers.rs"]
mod timers;

use server::Server;

fn main() -> runnel::Result {
    let rounds = setting("RUNNEL_BENCH_ROUNDS", 9)?;
    let events = setting("RUNNEL_BENCH_EVENTS", 300_000)?;
    let server = Server::start()?;
    timers::compare(server.port, rounds)?;
    processors::compare(server.port, rounds, events)
}

fn setting(name: &str, default: usize) -> runnel::Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is `{text}`: expected a number of 1 or more").into()),
        Err(_) => Ok(default),
    }
}
