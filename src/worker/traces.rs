//! Traces of attempts that could not be stored lie as files on the machine of their run: its workers send them again.
//!
//! Each run of the job does so too; but the next one may be a month away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::App;
use crate::clock;
use crate::error::{Failure, chain};
use crate::job::{JobSpec, When};
use crate::runner::Traces;

const EVERY: Duration = Duration::from_secs(3600);

/// Sends them when the worker starts, and then hourly. Safe to drop: a trace is sent twice without harm.
pub(super) async fn watch(app: App, work_dir: PathBuf) {
    loop {
        for job in app.jobs.iter().filter(|job| matches!(job.when, When::OnDemand)) {
            if let Err(error) = resend(&app, job, &work_dir).await {
                tracing::warn!(job = %job.name, error = %chain(&error),
                    "traces that were kept as files could not be sent again; trying again in an hour");
            }
        }
        clock::sleep(EVERY).await;
    }
}

async fn resend(app: &App, job: &JobSpec, work_dir: &Path) -> Result<(), Failure> {
    if !Traces::are_left(job, work_dir) {
        return Ok(());
    }
    let (section, run_logs) = (app.job_section(&job.name)?, app.documents().await?);
    Traces { run_logs: Some(&*run_logs), named: &app.trace_stores }.resend_of(job, &section, work_dir).await;
    Ok(())
}
