//! Whole workers on the memory broker, under paused time: thousands of runs that a seed describes, with crashes, lost
//! replies, fail-overs and operators, each judged by a checker that shares no code with the engine.
//!
//! `RUNNEL_SIM_SEED=7` runs that seed alone and tells all of it; `RUNNEL_TEST_SCALE` multiplies the number of seeds.
//! The seed decides everything but which of several things that are ready tokio takes first: a rare failure may want
//! more than one replay.
#![cfg(feature = "testing")]

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod app;
mod books;
mod checker;
mod damage;
mod draw;
mod facts;
mod fleet;
mod patience;
mod world;

use draw::Draw;
use facts::Story;

const SEEDS: u64 = 1_000;
const THREADS: usize = 2;

#[test]
fn every_seed_keeps_the_promises() {
    mute_drawn_panics();
    if let Some(seed) = number("RUNNEL_SIM_SEED") {
        return replay(seed);
    }
    let last = SEEDS * number("RUNNEL_TEST_SCALE").unwrap_or(1).max(1);
    let next = AtomicU64::new(1);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        return;
                    }
                    let problems = judge(seed);
                    if let Some(first) = problems.first() {
                        let line = format!("seed {seed} ({:?}): {first}", Draw::of(seed).climate);
                        failures.lock().unwrap().push((seed, line));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let lines: Vec<_> = failures.iter().map(|(_, line)| line.as_str()).collect();
    assert!(
        failures.is_empty(),
        "{} of {last} seeds fail:\n{}\nreplay one with: RUNNEL_SIM_SEED={} cargo test --features testing --test sim",
        failures.len(),
        lines.join("\n"),
        failures[0].0
    );
}

/// Runs one seed with everything that can be known of it: its draw, the workers' log, and what happened.
#[allow(clippy::print_stdout)] // Shown where the run fails, and nowhere else.
fn replay(seed: u64) {
    let draw = Draw::of(seed);
    println!("{draw:#?}");
    let filter = tracing_subscriber::EnvFilter::new("runnel=debug");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_timer(patience::Clock);
    log.with_test_writer().init();
    let (story, mut problems) = tell(&draw);
    story.facts.iter().for_each(|fact| println!("{fact:?}"));
    problems.extend(checker::check(&story));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What is wrong with the run of a seed.
fn judge(seed: u64) -> Vec<String> {
    let told = std::panic::catch_unwind(AssertUnwindSafe(|| tell(&Draw::of(seed))));
    match told {
        Ok((story, mut problems)) => {
            problems.extend(checker::check(&story));
            problems
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            vec![format!("it panicked: {}", text.unwrap_or_else(|| "with no text".into()))]
        }
    }
}

/// Runs a draw in a runtime of its own, in which time stands still while anything runs.
fn tell(draw: &Draw) -> (Story, Vec<String>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime can be built");
    runtime.block_on(world::run(draw))
}

/// A number of the environment.
#[allow(clippy::disallowed_methods)] // It is no setting of the app.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, not a number")))
}

/// Panics that were drawn are the engine's to catch, and nobody's to read.
fn mute_drawn_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.payload().downcast_ref::<&str>().copied());
        if text != Some(app::DRAWN) {
            usual(panic);
        }
    }));
}
