//! What a worker says of itself on status pages.

use crate::app::App;
use crate::clock::{self, UnixMs};

use super::jobs::run::JobTimes;

/// What a worker says of itself.
#[derive(Clone, Debug)]
pub(super) struct About {
    started: UnixMs,
    processors: Vec<String>,
    version: String,
    times: JobTimes,
    /// Where it answers HTTP, if it does.
    http: Option<String>,
}

impl About {
    pub(super) fn of(app: &App, processors: Vec<String>, times: JobTimes, http: Option<&str>) -> Self {
        let http = http.map(str::to_owned);
        Self { started: clock::wall(), processors, version: app.version.clone(), times, http }
    }

    /// As JSON.
    pub(super) fn text(&self) -> String {
        let times = self.times.all();
        serde_json::json!({
            "host": rustix::system::uname().nodename().to_string_lossy(),
            "pid": std::process::id(),
            "version": self.version,
            "runnel": env!("CARGO_PKG_VERSION"),
            "started": self.started,
            "processors": self.processors,
            "jobs": times.started,
            "timers": times.grids,
            "http": self.http,
        })
        .to_string()
    }
}
