//! What remains of an attempt beside the run's own document: its trace, in whatever store is meant for traces.
//!
//! A trace that cannot be stored is kept as a file and sent again later; it never holds up the run, nor fails it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh64::xxh64;

use super::activation::Activation;
use super::folder::Folder;
use crate::error::{Error, chain};
use crate::job::{JobSection, JobSpec, Resolved, TraceInfo};
use crate::runs::{AttemptLog, CodeIdentity, NewRunLog, RunContext, RunId, RunLogStore, StoreError, Work};

/// Stores of traces by their names.
#[derive(Clone, Default)]
pub(crate) struct TraceStores(pub(crate) BTreeMap<String, Arc<dyn RunLogStore>>);

impl TraceStores {
    /// Why traces cannot go to the store of that name; none, if they can.
    pub(crate) fn why_not(&self, name: &str) -> Option<String> {
        (!self.0.contains_key(name)).then(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> String {
        let near = crate::nearest::did_you_mean(name, self.0.keys().map(String::as_str));
        format!("there is no store of traces named `{name}`{near}: give it with App::trace_store")
    }
}

/// The end of the names of files with traces.
const FILE: &str = "_trace.json";

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
        ("work_dir", work.facts.folder.as_deref().unwrap_or(Path::new("")).display().to_string().into()),
    ];
    log.execution_context = context.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
}

/// Where traces go.
pub(crate) struct Traces<'a> {
    /// Where the documents of runs are: what a job means that names no other store.
    pub(crate) run_logs: Option<&'a dyn RunLogStore>,
    /// Other stores.
    pub(crate) named: &'a TraceStores,
}

impl Traces<'_> {
    /// Stores the trace of an attempt where the job wants it, if it does.
    pub(super) async fn store(
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
        let Err(error) = self.send(plan, &kept).await else { return };
        let file = folder.traces().join(format!("{run_id}_attempt_{}{FILE}", log.attempt_number));
        let error = chain(&*error);
        match write(&file, &kept) {
            Ok(()) => tracing::warn!(job = %job.name, %run_id, file = %file.display(), %error,
                "the trace of an attempt could not be stored; it is kept as a file, and sent again later"),
            Err(lost) => tracing::warn!(job = %job.name, %run_id, file = %file.display(), %error, %lost,
                "the trace of an attempt could neither be stored nor kept as a file; it is in the run log alone"),
        }
    }

    async fn send(&self, plan: &Resolved, kept: &Kept) -> Result<(), Error> {
        let store = match &plan.store_trace_info {
            TraceInfo::Off => return Ok(()),
            TraceInfo::InRunLogStore => self.run_logs.ok_or("the app has no run log store")?,
            TraceInfo::In(name) => &**self.named.0.get(name).ok_or_else(|| self.named.unknown(name))?,
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

    /// Whether traces of that job were kept as files below that folder.
    pub(crate) fn are_left(job: &JobSpec, work_dir: &Path) -> bool {
        !left_in(&Folder::of(work_dir, &job.name)).is_empty()
    }

    /// Sends traces of that job again that were kept as files, and removes the files of those that now are stored.
    pub(crate) async fn resend_of(&self, job: &JobSpec, section: &JobSection, work_dir: &Path) {
        self.resend(job, &job.plan.over(section), &Folder::of(work_dir, &job.name)).await;
    }

    pub(super) async fn resend(&self, job: &JobSpec, plan: &Resolved, folder: &Folder) {
        if plan.store_trace_info == TraceInfo::Off {
            return;
        }
        for file in left_in(folder) {
            let kept = match read(&file) {
                Ok(Some(kept)) => kept,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(job = %job.name, file = %file.display(), error = %chain(&*error),
                        "the file of a trace cannot be read; it is left as it is");
                    continue;
                }
            };
            let sent = match self.send(plan, &kept).await {
                Ok(()) => present(fs::remove_file(&file)).map_err(Error::from),
                Err(error) => Err(error),
            };
            match sent {
                Ok(_) => tracing::info!(job = %job.name, file = %file.display(), "a trace was stored at last"),
                Err(error) => {
                    // The others would wait for the same store.
                    tracing::warn!(job = %job.name, file = %file.display(), error = %chain(&*error),
                        "a trace that was kept as a file could not be stored yet");
                    return;
                }
            }
        }
    }
}

/// The files of traces that were kept, in order.
fn left_in(folder: &Folder) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.traces()) else { return Vec::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(FILE));
    files.sort();
    files
}

/// None of what is not there: somebody else on this machine may have sent it meanwhile.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn read(file: &Path) -> Result<Option<Kept>, Error> {
    let Some(text) = present(fs::read(file))? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Whole or not at all: what is read again must not be half of it.
fn write(file: &Path, kept: &Kept) -> Result<(), Error> {
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    let unfinished = file.with_extension("tmp");
    fs::write(&unfinished, serde_json::to_vec_pretty(kept)?)?;
    Ok(fs::rename(&unfinished, file)?)
}
