//! Whoever runs a job says that it is alive, as a worker does: its runs would be taken for crashed otherwise.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, ServerClock};
use crate::error::{Doing, Failure};
use crate::stream::current::Handle;
use crate::tasks::{Gate, Tasks};

/// How long a store that does not answer may hold up the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Announced from here until it is dropped, or has said goodbye.
pub(crate) struct Presence {
    handle: Handle,
    worker: Arc<str>,
    beating: Tasks,
}

impl Presence {
    /// Announces it. Answers what time it is there as well.
    pub(crate) async fn announce(handle: &Handle, worker: &Arc<str>) -> Result<(Self, ServerClock), Failure> {
        let (ttl, asked) = (handle.settings().default_lock_expiry, clock::now());
        let doing = || "say that a job runs here".to_owned();
        let server = handle.broker().announce(worker, ttl, &about()).await.doing(doing)?;
        let clock = ServerClock::heard(asked, clock::now(), server);
        let mut beating = Tasks::behind(&Gate::default());
        beating.start(beat(handle.clone(), worker.clone(), clock.clone(), ttl));
        Ok((Self { handle: handle.clone(), worker: worker.clone(), beating }, clock))
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

fn about() -> String {
    serde_json::json!({
        "host": rustix::system::uname().nodename().to_string_lossy(),
        "pid": std::process::id(),
        "runnel": env!("CARGO_PKG_VERSION"),
        "started": clock::wall(),
        "processors": [],
    })
    .to_string()
}

async fn beat(handle: Handle, worker: Arc<str>, clock: ServerClock, ttl: Duration) {
    loop {
        clock::sleep(ttl / 4).await;
        let asked = clock::now();
        match handle.broker().announce(&worker, ttl, &about()).await {
            Ok(server) => clock.correct(asked, clock::now(), server),
            Err(error) => tracing::debug!(%worker, %error, "could not say that a job runs here"),
        }
    }
}
