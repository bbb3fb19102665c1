//! How fast events are sent and processed, how late they come, and what it costs Redis and the client: beside a raw
//! client in the same run, on a redis-server of its own.
//!
//! ```text
//! cargo bench --bench throughput                 tables
//! cargo bench --bench throughput -- --json       one JSON object a line
//! RUNNEL_BENCH_EVENTS=1000000 RUNNEL_BENCH_ROUNDS=9 cargo bench --bench throughput
//! ```
//!
//! On a busy machine trust the CPU time per event and the ratios, which compare within one round, not the events per
//! second.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and is no part of an app")]
#![allow(clippy::print_stdout, reason = "the figures are its result")]

mod support;

use support::contender::{Contender, Ground};
use support::figures::{figures, tables};
use support::measure::{Plan, compete};
use support::own::{Manner, Own};
use support::raw::{Raw, Reading};
use support::server::Server;

/// The first that takes part in a discipline is its base.
fn contenders() -> runnel::Result<Vec<Box<dyn Contender>>> {
    let mut all: Vec<Box<dyn Contender>> = vec![Box::new(Raw::new(Reading::Group)), Box::new(Raw::new(Reading::Plain))];
    for manner in [Manner::Each, Manner::Batches, Manner::Loop, Manner::Strict, Manner::SingleSends] {
        all.push(Box::new(Own::new(manner)?));
    }
    Ok(all)
}

fn main() -> runnel::Result {
    let server = Server::start()?;
    let plan = Plan {
        ground: Ground { port: server.port, partitions: 16, events: setting("RUNNEL_BENCH_EVENTS", 200_000)? },
        rounds: setting("RUNNEL_BENCH_ROUNDS", 5)?,
        paced_events: 400,
    };
    let mut contenders = contenders()?;

    let samples = compete(&plan, &mut contenders)?;
    let figures = figures(&samples, &contenders);

    if std::env::args().any(|argument| argument == "--json") {
        for figure in &figures {
            println!("{}", serde_json::to_string(figure)?);
        }
    } else {
        let Ground { events, partitions, .. } = plan.ground;
        println!("{events} events, {partitions} partitions, medians of {} rounds", plan.rounds);
        println!("{}", tables(&figures));
    }
    Ok(())
}

fn setting(name: &str, default: usize) -> runnel::Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is `{text}`: expected a number of 1 or more").into()),
        Err(_) => Ok(default),
    }
}
