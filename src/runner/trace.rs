//! What remains of an attempt beside the run's own document: its trace, in whatever store is meant for traces.
//!
//! A trace that cannot be stored is kept as a file and sent again later; it never holds up the run, nor fails it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh64::xxh64;

use super::Stage;
use super::activation::Activation;
use super::folder::Folder;
use crate::error::{Error, chain};
use crate::job::{JobSpec, Resolved, TraceInfo};
use crate::runs::{AttemptLog, CodeIdentity, NewRunLog, RunContext, RunId, RunLogStore, StoreError, Work};

/// Stores of traces by their names.
#[derive(Clone, Default)]
pub(crate) struct TraceStores(pub(crate) BTreeMap<String, Arc<dyn RunLogStore>>);

/// A trace, as a file has it.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    task_name: String,
    run_id: RunId,
    tag: String,
    attempt: AttemptLog,
}

/// A fingerprint of what a job does: of its name, its parameters and what is known of its steps.
pub(super) fn dag_hash(job: &JobSpec, plan: &Resolved) -> String {
    let inputs: Vec<&str> = job.call.inputs.iter().filter_map(|input| input.name).collect();
    let text = format!("{}\n{}\n{}", job.name, inputs.join(","), plan.dag);
    format!("{:016x}", xxh64(text.as_bytes(), 0))
}

/// What code runs here, as far as anybody says: the app's version, runnel's, and a commit if the environment names one.
pub(crate) fn identities(app: &str, version: &str) -> Vec<CodeIdentity> {
    const COMMITS: [&str; 4] = ["RUNNEL_GIT_COMMIT", "GIT_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA"];
    let identity = |kind: &str, id: &str, message: &str| CodeIdentity {
        kind: kind.to_owned(),
        id: id.to_owned(),
        dependable: true,
        message: message.to_owned(),
        ..CodeIdentity::default()
    };
    let mut all = vec![identity("runnel", env!("CARGO_PKG_VERSION"), "")];
    if !version.is_empty() {
        all.insert(0, identity("app", version, app));
    }
    let commit = COMMITS.iter().find_map(|name| Some((*name, crate::settings::variable(name)?)));
    if let Some((name, commit)) = commit {
        all.push(identity("git", &commit.to_string_lossy(), &format!("named by {name}")));
    }
    all
}

/// What an attempt was given and where it ran. No values of settings, and nothing secret.
pub(super) fn describe(activation: &Activation<'_>, work: &Work, run: &RunContext, log: &mut AttemptLog) {
    log.input_parameters = work.facts.input.kept.clone();
    log.code_identities.clone_from(&activation.stage.code);
    log.resolved_config_values.clone_from(&activation.plan.origins);
    let context: [(&str, Value); 7] = [
        ("app", run.app().into()),
        ("worker", run.worker().into()),
        ("host", rustix::system::uname().nodename().to_string_lossy().into()),
        ("pid", std::process::id().into()),
        ("run_id", run.run_id().as_str().into()),
        ("tag", activation.plan.tag.as_str().into()),
        ("work_dir", work.facts.folder.display().to_string().into()),
    ];
    log.execution_context = context.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
}

impl Stage {
    /// Stores the trace of an attempt where the job wants it, if it does.
    pub(super) async fn store_trace(
        &self,
        job: &JobSpec,
        plan: &Resolved,
        folder: &Folder,
        run_id: &RunId,
        log: &AttemptLog,
    ) {
        if plan.store_trace_info == TraceInfo::Off {
            return;
        }
        let kept =
            Kept { task_name: job.name.clone(), run_id: run_id.clone(), tag: plan.tag.clone(), attempt: log.clone() };
        let Err(error) = self.send_trace(plan, &kept).await else { return };
        let file = folder.traces().join(format!("{run_id}_attempt_{}_trace.json", log.attempt_number));
        let error = chain(&*error);
        match write(&file, &kept) {
            Ok(()) => tracing::warn!(job = %job.name, %run_id, file = %file.display(), %error,
                "the trace of an attempt could not be stored; it is kept as a file, and sent again by the next run"),
            Err(lost) => tracing::warn!(job = %job.name, %run_id, file = %file.display(), %error, %lost,
                "the trace of an attempt could neither be stored nor kept as a file; it is in the run log alone"),
        }
    }

    async fn send_trace(&self, plan: &Resolved, kept: &Kept) -> Result<(), Error> {
        let store = match &plan.store_trace_info {
            TraceInfo::Off => return Ok(()),
            TraceInfo::InRunLogStore => self.run_logs.as_ref().ok_or("the app has no run log store")?,
            TraceInfo::In(name) => self.traces.0.get(name).ok_or_else(|| {
                let near = crate::nearest::did_you_mean(name, self.traces.0.keys().map(String::as_str));
                format!("there is no store of traces named `{name}`{near}: give it with App::trace_store")
            })?,
        };
        // Traces of all runs of a job are one table, beside the documents of the runs themselves.
        let id: RunId = format!("{}_trace", kept.run_id).parse()?;
        let new = NewRunLog::new(id.clone(), format!("{}_trace", kept.task_name)).tag(kept.tag.clone());
        match store.create_run_log(new).await {
            Ok(_) | Err(StoreError::RunLogExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        store.record_attempt(&id, None, kept.attempt.clone()).await?;
        // Only what has ended is ever removed.
        Ok(store.update_run_log_status(&id, kept.attempt.status).await?)
    }

    /// Sends traces again that could not be stored, and removes the files of those that now are.
    pub(crate) async fn resend_traces_of(&self, job: &JobSpec, section: &crate::job::JobSection) {
        let plan = job.plan.over(section);
        self.resend_traces(job, &plan, &Folder::of(&self.work_dir, &job.name)).await;
    }

    pub(super) async fn resend_traces(&self, job: &JobSpec, plan: &Resolved, folder: &Folder) {
        if plan.store_trace_info == TraceInfo::Off {
            return;
        }
        let Ok(entries) = fs::read_dir(folder.traces()) else { return };
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.to_string_lossy().ends_with("_trace.json"));
        files.sort();
        for file in files {
            let kept = match read(&file) {
                Ok(kept) => kept,
                Err(error) => {
                    tracing::warn!(job = %job.name, file = %file.display(), error = %chain(&*error),
                        "the file of a trace cannot be read; it is left as it is");
                    continue;
                }
            };
            match self.resend(plan, &kept, &file).await {
                Ok(()) => tracing::info!(job = %job.name, file = %file.display(), "a trace was stored at last"),
                Err(error) => {
                    // The others would wait for the same store.
                    tracing::warn!(job = %job.name, file = %file.display(), error = %chain(&*error),
                        "a trace that was kept as a file could not be stored yet");
                    return;
                }
            }
        }
    }

    async fn resend(&self, plan: &Resolved, kept: &Kept, file: &Path) -> Result<(), Error> {
        self.send_trace(plan, kept).await?;
        Ok(fs::remove_file(file)?)
    }
}

fn read(file: &Path) -> Result<Kept, Error> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// Whole or not at all: what is read again must not be half of it.
fn write(file: &Path, kept: &Kept) -> Result<(), Error> {
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    let unfinished = file.with_extension("tmp");
    fs::write(&unfinished, serde_json::to_vec_pretty(kept)?)?;
    Ok(fs::rename(&unfinished, file)?)
}
