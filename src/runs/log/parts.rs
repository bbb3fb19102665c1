//! The parts of a run's document: steps and their branches, attempts, what a job adds.
//!
//! Steps and branches are addressed by internal names: a branch of step `load` is `load.<branch>`, a step in it
//! `load.<branch>.<step>`. Names may hold dots of their own, so what encloses what is found by the names that are there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Parameters;
use crate::runs::Status;

/// A worker, as the document of a run names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRef {
    /// Its id.
    pub id: String,
    /// Its machine.
    pub host: String,
    /// Where the output that it captured is served.
    #[serde(default)]
    pub log_url: Option<String>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLog {
    /// Its name.
    pub name: String,
    /// Its name with that of the branch it is in.
    pub internal_name: String,
    /// How it stands.
    pub status: Status,
    /// What kind of step: `task`, `parallel`, or the app's own word.
    #[serde(default)]
    pub step_type: String,
    /// What it said last.
    #[serde(default)]
    pub message: String,
    /// Whether it only pretended to run.
    #[serde(default)]
    pub mock: bool,
    /// Its attempts, by number.
    #[serde(default)]
    pub attempts: Vec<AttemptLog>,
    /// Its branches by internal name.
    #[serde(default)]
    pub branches: IndexMap<String, BranchLog>,
}

impl StepLog {
    /// A step that is written down and has not begun.
    pub fn new(internal_name: impl Into<String>) -> Self {
        let internal_name = internal_name.into();
        Self {
            name: internal_name.rsplit('.').next().unwrap_or_default().to_owned(),
            internal_name,
            status: Status::Created,
            step_type: "task".into(),
            message: String::new(),
            mock: false,
            attempts: Vec::new(),
            branches: IndexMap::new(),
        }
    }
}

/// A branch of a step that does several things at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchLog {
    /// Its name, which begins with that of its step.
    pub internal_name: String,
    /// How it stands.
    pub status: Status,
    /// Its steps by internal name.
    #[serde(default)]
    pub steps: IndexMap<String, StepLog>,
    /// What it was given, and what it set.
    #[serde(default)]
    pub parameters: Parameters,
}

impl BranchLog {
    /// A branch that is written down and has not begun.
    pub fn new(internal_name: impl Into<String>) -> Self {
        Self {
            internal_name: internal_name.into(),
            status: Status::Created,
            steps: IndexMap::new(),
            parameters: Parameters::new(),
        }
    }
}

/// What the document of a job's run has beside others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobLog {
    /// How it stands.
    pub status: Status,
    /// What it said last.
    #[serde(default)]
    pub message: String,
    /// What code ran.
    #[serde(default)]
    pub code_identities: Vec<CodeIdentity>,
}

impl JobLog {
    /// A job that is written down and has not begun.
    pub fn new() -> Self {
        Self { status: Status::Created, message: String::new(), code_identities: Vec::new() }
    }
}

impl Default for JobLog {
    fn default() -> Self {
        Self::new()
    }
}

/// Which code ran: a commit, an image, a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeIdentity {
    /// `git`, `docker`, `crate`, or the app's own word.
    pub kind: String,
    /// The commit, the digest, the version.
    pub id: String,
    /// Where it is.
    #[serde(default)]
    pub url: String,
    /// Whether the same identity always means the same code: not with uncommitted changes.
    #[serde(default)]
    pub dependable: bool,
    /// What is to be said about it.
    #[serde(default)]
    pub message: String,
}

/// One try, of a step or of a whole run: what it was given, what came of it, and the steps it went through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptLog {
    /// Its own id.
    pub transaction_id: Uuid,
    /// From 1. It goes on when a run is resumed.
    pub attempt_number: u32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<DateTime<Utc>>,
    /// How it stands.
    pub status: Status,
    /// What it said last.
    #[serde(default)]
    pub message: String,
    /// Why there was this attempt; empty for a first one.
    #[serde(default)]
    pub retry_indicator: String,
    /// The steps it went through, in order.
    #[serde(default)]
    pub steps: Vec<StepTrace>,
    /// What it was given.
    #[serde(default)]
    pub input_parameters: Parameters,
    /// What it set.
    #[serde(default)]
    pub output_parameters: Parameters,
    /// Figures of the app's own.
    #[serde(default)]
    pub user_defined_metrics: Parameters,
    /// What code ran.
    #[serde(default)]
    pub code_identities: Vec<CodeIdentity>,
    /// Which settings it used, and where each came from. Never their values.
    #[serde(default)]
    pub resolved_config_values: BTreeMap<String, String>,
    /// Where it ran, and under what.
    #[serde(default)]
    pub execution_context: Map<String, Value>,
    /// The version of this record.
    #[serde(default = "AttemptLog::engine_version")]
    pub engine_version: u32,
}

impl AttemptLog {
    /// An attempt that begins.
    pub fn new(attempt_number: u32, started_at: DateTime<Utc>) -> Self {
        Self {
            transaction_id: Uuid::now_v7(),
            attempt_number,
            started_at,
            finished_at: None,
            status: Status::Processing,
            message: String::new(),
            retry_indicator: String::new(),
            steps: Vec::new(),
            input_parameters: Parameters::new(),
            output_parameters: Parameters::new(),
            user_defined_metrics: Parameters::new(),
            code_identities: Vec::new(),
            resolved_config_values: BTreeMap::new(),
            execution_context: Map::new(),
            engine_version: Self::engine_version(),
        }
    }

    const fn engine_version() -> u32 {
        1
    }
}

/// A step in the trace of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepTrace {
    /// Its name.
    pub name: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<DateTime<Utc>>,
    /// How it stands.
    pub status: Status,
    /// What it said last.
    #[serde(default)]
    pub message: String,
}

type Steps = IndexMap<String, StepLog>;

pub(super) fn find_step<'a>(steps: &'a Steps, name: &str) -> Option<&'a StepLog> {
    steps.get(name).or_else(|| {
        let mut branches = steps.values().flat_map(|step| step.branches.values());
        branches.find_map(|branch| find_step(&branch.steps, name))
    })
}

pub(super) fn find_step_mut<'a>(steps: &'a mut Steps, name: &str) -> Option<&'a mut StepLog> {
    if steps.contains_key(name) {
        return steps.get_mut(name);
    }
    let mut branches = steps.values_mut().flat_map(|step| step.branches.values_mut());
    branches.find_map(|branch| find_step_mut(&mut branch.steps, name))
}

pub(super) fn find_branch<'a>(steps: &'a Steps, name: &str) -> Option<&'a BranchLog> {
    steps.values().find_map(|step| {
        let deeper = || step.branches.values().find_map(|branch| find_branch(&branch.steps, name));
        step.branches.get(name).or_else(deeper)
    })
}

pub(super) fn find_branch_mut<'a>(steps: &'a mut Steps, name: &str) -> Option<&'a mut BranchLog> {
    steps.values_mut().find_map(|step| {
        if step.branches.contains_key(name) {
            return step.branches.get_mut(name);
        }
        step.branches.values_mut().find_map(|branch| find_branch_mut(&mut branch.steps, name))
    })
}

/// Whether `name` continues `outer` by a dot and more.
fn continues(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// The steps among which one of that name belongs: those of the innermost branch whose name it continues.
pub(super) fn enclosing_branch<'a>(steps: &'a mut Steps, name: &str) -> &'a mut Steps {
    let place = steps.iter().find_map(|(step, log)| {
        let branch = log.branches.keys().filter(|branch| continues(name, branch)).max_by_key(|branch| branch.len())?;
        Some((step.clone(), branch.clone()))
    });
    match place {
        Some((step, branch)) => enclosing_branch(&mut steps[&step].branches[&branch].steps, name),
        None => steps,
    }
}

pub(super) fn put_step(steps: &mut Steps, mut step: StepLog) {
    let Some(known) = steps.get_mut(&step.internal_name) else {
        steps.insert(step.internal_name.clone(), step);
        return;
    };
    for attempt in std::mem::take(&mut step.attempts) {
        put_attempt(&mut known.attempts, attempt);
    }
    for (_, branch) in std::mem::take(&mut step.branches) {
        put_branch_into(&mut known.branches, branch);
    }
    let (attempts, branches) = (std::mem::take(&mut known.attempts), std::mem::take(&mut known.branches));
    *known = StepLog { attempts, branches, ..step };
}

pub(super) fn put_branch(steps: &mut Steps, branch: BranchLog) -> bool {
    let within = enclosing_branch(steps, &branch.internal_name);
    let owner = within.values_mut().filter(|step| continues(&branch.internal_name, &step.internal_name));
    match owner.max_by_key(|step| step.internal_name.len()) {
        Some(step) => put_branch_into(&mut step.branches, branch),
        None => return false,
    }
    true
}

fn put_branch_into(branches: &mut IndexMap<String, BranchLog>, branch: BranchLog) {
    let Some(known) = branches.get_mut(&branch.internal_name) else {
        branches.insert(branch.internal_name.clone(), branch);
        return;
    };
    known.status = branch.status;
    known.parameters.extend(branch.parameters);
    for (_, step) in branch.steps {
        put_step(&mut known.steps, step);
    }
}

pub(super) fn put_attempt(attempts: &mut Vec<AttemptLog>, attempt: AttemptLog) {
    match attempts.binary_search_by_key(&attempt.attempt_number, |known| known.attempt_number) {
        Ok(at) => attempts[at] = attempt,
        Err(at) => attempts.insert(at, attempt),
    }
}
