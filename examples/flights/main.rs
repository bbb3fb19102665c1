//! Flights from New York: real events through any number of workers, and everything that is known of them checked.
//!
//! `cargo run --release --example flights -- --workers 3` does the whole of it by itself, on whatever Redis is at hand
//! or on none: it starts a sender and the workers as processes of their own, sends 20,116 events keyed by aircraft,
//! waits until they are processed, and prints each fact of `expected.json` with whether it was found. It exits with 0
//! only if all were. `--restarts` and `--chaos` disturb the workers meanwhile, `--bad` shows what becomes of lines that
//! are no flights; see `--help`.
//!
//! The processor keeps a summary of each aircraft in local variables, and stores it *before* its event is settled: what
//! was settled is never missing from what the next owner loads. See [`summaries`] for the store, and [`aircraft`] for
//! what makes an event that comes again harmless.
//!
//! It is a program of runnel's as well: `-- worker`, `-- status` and the rest of the command line work at the address
//! and key prefix that `RUNNEL_REDIS_URL` and `RUNNEL_KEY_PREFIX` name.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who runs it")]

mod aircraft;
mod bad;
mod chaos;
mod crew;
mod digest;
mod event;
mod facts;
mod journey;
mod options;
mod progress;
mod report;
mod run;
mod source;
mod summaries;

use event::Flight;
use options::{Options, Pace};
use runnel::prelude::*;
use summaries::Summaries;

#[runnel::stream]
static FLIGHTS: Stream<Flight> = Stream::new("flights", |flight| (&flight.tail).into()).partitions(16);

/// One call for each partition that this worker owns, for as long as it does.
#[runnel::processor(FLIGHTS)]
async fn summarise(events: &mut Events<Flight>, summaries: State<Summaries>, pace: State<Pace>) -> Result<()> {
    let here = events.context();
    let shelf = summaries.shelf(here.partition(), here.epoch());
    let mut known = shelf.take_over().await?;
    while let Some(flight) = events.next().await? {
        pace.wait().await;
        let summary = known.apply(&flight, here.partition().0);
        // Before the next call of `next`, which settles the event.
        shelf.store(summary).await?;
    }
    Ok(())
}

fn app() -> App {
    App::new("flights")
        .state_with(async |setup| Ok(Summaries::of_this_process(&setup)?))
        .state_with(async |setup| Ok(Pace::of_this_process(&setup)))
}

fn main() -> ExitCode {
    crew::end_with_the_parent();
    // A command is for runnel's command line: that is how the children are started.
    let is_command = std::env::args_os().nth(1).is_some_and(|first| !first.to_string_lossy().starts_with('-'));
    if is_command {
        return runnel::main(app());
    }
    let options = Options::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(runnel::Error::from).and_then(|runtime| runtime.block_on(run::whole(&options)));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
