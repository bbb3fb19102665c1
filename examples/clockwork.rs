//! Jobs without streams: crontabs that fire each second, once for however many workers there are.
//!
//! `cargo run --example clockwork` runs one worker; start more of them and kill some. Each run adds a line to the file
//! that `CLOCKWORK_LOG` names, or to stdout: the job, its instant, the leader's term, the process. `jobs list` tells when
//! each runs next, `jobs pause at_least_once` stops one on all workers.

use std::io::Write;

use runnel::prelude::*;
use runnel::{Delivery, Missed};

/// How long a run takes: long enough to be killed in the middle.
const WORK: Duration = Duration::from_millis(300);

async fn strike(run: RunContext) -> Result<()> {
    // Asked for by `jobs run`, it has no instant of its own.
    let instant = run.instant().unwrap_or(run.started()).timestamp();
    let line = format!("{} {instant} {} {}\n", run.task_name(), run.term().unwrap_or_default(), std::process::id());
    // One write of a short line: several processes may share the file.
    match std::env::var_os("CLOCKWORK_LOG") {
        Some(path) => std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())?,
        None => std::io::stdout().write_all(line.as_bytes())?,
    }
    runnel::clock::sleep(WORK).await;
    Ok(())
}

fn main() -> ExitCode {
    let mut app = App::bare("clockwork");
    for (name, delivery) in [("at_most_once", Delivery::AtMostOnce), ("at_least_once", Delivery::AtLeastOnce)] {
        app.crontab("* * * * * *", strike).name(name).on_leader().missed(Missed::All(60)).delivery(delivery);
    }
    runnel::main(app)
}
