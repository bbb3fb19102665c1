//! From an app to the stage on which its jobs on demand are run, in whatever process.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::processor::extract::States;
use crate::runner::{LOG_PERIOD, Stage, identities};
use crate::runs::recorder::Journal;
use crate::runs::{Observers, RunLogStore};
use crate::stream::current::Handle;

use super::App;

/// What a [`Stage`] stands on that is not of the app.
pub(crate) struct Ground {
    pub(crate) handle: Handle,
    pub(crate) states: Arc<States>,
    pub(crate) worker: Arc<str>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) run_logs: Option<Arc<dyn RunLogStore>>,
    pub(crate) drain: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) halts: Option<mpsc::UnboundedSender<String>>,
}

impl App {
    /// Where jobs on demand of this app are run, on that ground.
    pub(crate) fn stage(&self, ground: Ground) -> Result<Stage, Failure> {
        let Ground { handle, states, worker, journal, run_logs, drain, abort, halts } = ground;
        Ok(Stage {
            is_current: true,
            states,
            worker,
            journal,
            run_logs,
            has_stream: true,
            trace_stores: self.trace_stores.clone(),
            observers: Observers::clone(&self.observers),
            work_dir: handle.settings().job_work_dir.as_str().into(),
            log_period: LOG_PERIOD,
            keeping: self.keeping(handle.settings())?,
            run_ids: self.run_ids.clone(),
            code: identities(self.name(), &self.version),
            drain,
            abort,
            halts,
            handle,
        })
    }
}
