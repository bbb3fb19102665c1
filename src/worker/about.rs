//! What a worker says of itself on status pages, again and again.

use std::sync::Arc;

use crate::app::App;
use crate::clock::{self, UnixMs};
use crate::stream::current::Handle;

use super::jobs::run::LastFired;

/// What a worker says of itself.
#[derive(Clone, Debug)]
pub(super) struct About {
    started: UnixMs,
    processors: Vec<String>,
    version: String,
    fired: LastFired,
    /// Where it answers HTTP, if it does.
    http: Option<String>,
}

impl About {
    pub(super) fn of(app: &App, processors: Vec<String>, fired: LastFired, http: Option<&str>) -> Self {
        let http = http.map(str::to_owned);
        Self { started: clock::wall(), processors, version: app.version.clone(), fired, http }
    }

    /// As JSON.
    pub(super) fn text(&self) -> String {
        serde_json::json!({
            "host": rustix::system::uname().nodename().to_string_lossy(),
            "pid": std::process::id(),
            "version": self.version,
            "runnel": env!("CARGO_PKG_VERSION"),
            "started": self.started,
            "processors": self.processors,
            "jobs": self.fired.all(),
            "http": self.http,
        })
        .to_string()
    }
}

/// Says that this worker is alive, until it is dropped.
pub(super) async fn announce(handle: Handle, worker: Arc<str>, about: About) {
    let ttl = handle.settings().default_lock_expiry;
    loop {
        clock::sleep(ttl / 4).await;
        if let Err(error) = handle.broker().announce(&worker, ttl, &about.text()).await {
            tracing::debug!(%worker, %error, "could not announce the worker");
        }
    }
}
