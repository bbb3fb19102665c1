//! Whoever runs a job says that it is alive, as a worker does: its runs would be taken for crashed otherwise.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Standing;
use crate::clock::{self, ServerClock, UnixMs};
use crate::error::{Doing, Failure};
use crate::runs::recorder::{Alive, Announcing};
use crate::stream::current::Handle;
use crate::tasks::{Gate, Tasks};

/// How long a store that does not answer may hold up the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Announced from here until it is dropped, or has said goodbye.
pub(crate) struct Presence {
    handle: Handle,
    worker: Arc<str>,
    alive: Alive,
    beating: Tasks,
}

impl Presence {
    /// Announces it. Answers what time it is there as well.
    pub(crate) async fn announce(handle: &Handle, worker: &Arc<str>) -> Result<(Self, ServerClock), Failure> {
        let doing = || "say that a job runs here".to_owned();
        let started = clock::wall();
        let (announcing, clock) =
            Announcing::begin(handle, worker, Standing::Guest, move || about(started)).await.doing(doing)?;
        let (alive, mut beating) = (announcing.alive(), Tasks::behind(&Gate::default()));
        beating.start(announcing.run(Some(clock.clone())));
        Ok((Self { handle: handle.clone(), worker: worker.clone(), alive, beating }, clock))
    }

    /// How well it is heard of.
    pub(crate) fn alive(&self) -> Alive {
        self.alive.clone()
    }

    /// It is gone, and nobody has to wait until that is noticed.
    pub(crate) async fn goodbye(mut self) {
        self.beating.abort();
        // Safe to drop: who is not told will notice.
        tokio::select! {
            _ = self.handle.broker().depart(&self.worker) => {}
            () = clock::sleep(GOODBYE) => {}
        }
    }
}

/// Unlike every other worker's name, now and before: host, process and a bit of chance.
pub(crate) fn worker_name() -> Arc<str> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    format!("{}-{}-{:04x}", host, std::process::id(), fastrand::u16(..)).into()
}

fn about(started: UnixMs) -> String {
    serde_json::json!({
        "host": rustix::system::uname().nodename().to_string_lossy(),
        "pid": std::process::id(),
        "runnel": env!("CARGO_PKG_VERSION"),
        "started": started,
        "processors": [],
    })
    .to_string()
}
