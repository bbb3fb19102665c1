//! A document in chunks, so that what different writers write lies in different files.
//!
//! Each chunk is small and whole in itself: the header, the parameters, each step, branch and attempt. A step's chunk
//! does not hold its branches, nor a branch's its steps: they find each other by their names when they are read.

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::document::{self, Documents};
use super::files::encoded;
use crate::runs::{AttemptLog, BranchLog, Parameters, RunLog, StepLog, StoreError};

/// The chunk without which there is no document.
pub(super) const HEADER: &str = "RunLog.json";
/// The chunk with the parameters of the run.
pub(super) const PARAMETERS: &str = "Parameters.json";

/// Chunks by the names of their files.
pub(super) type Chunks = BTreeMap<String, Vec<u8>>;

/// A step or a branch, and its place among its siblings.
#[derive(Serialize, Deserialize)]
struct Placed<T> {
    order: usize,
    log: T,
}

/// The chunks of a document, in the order in which they must be written: what encloses others comes before them, and
/// the header last, since it names the last event that is in the document.
pub(super) fn split(log: &RunLog, documents: Documents) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut chunks = Vec::new();
    split_steps(&log.steps, documents, &mut chunks)?;
    for attempt in &log.attempts {
        chunks.push((format!("Attempt-{}.json", attempt.attempt_number), documents.write(attempt)?));
    }
    if !log.parameters.is_empty() {
        chunks.push((PARAMETERS.to_owned(), documents.write(&log.parameters)?));
    }
    let header = RunLog { parameters: Parameters::new(), ..log.header() };
    chunks.push((HEADER.to_owned(), documents.write(&header)?));
    Ok(chunks)
}

fn split_steps(
    steps: &IndexMap<String, StepLog>,
    documents: Documents,
    chunks: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), StoreError> {
    for (order, step) in steps.values().enumerate() {
        let file = format!("StepLog-{}.json", encoded(&step.internal_name));
        let log = StepLog { branches: IndexMap::new(), ..step.clone() };
        chunks.push((file, documents.write(&Placed { order, log })?));
        for (order, branch) in step.branches.values().enumerate() {
            let file = format!("BranchLog-{}.json", encoded(&branch.internal_name));
            let log = BranchLog { steps: IndexMap::new(), ..branch.clone() };
            chunks.push((file, documents.write(&Placed { order, log })?));
            split_steps(&branch.steps, documents, chunks)?;
        }
    }
    Ok(())
}

/// The places of steps and branches among their siblings.
type Places = HashMap<String, usize>;

/// The document out of its chunks; nothing if there is no header. `place` says where a chunk lies, for errors.
pub(super) fn join(chunks: &Chunks, place: impl Fn(&str) -> String) -> Result<Option<RunLog>, StoreError> {
    let Some(mut log) = header(chunks, &place)? else { return Ok(None) };
    let (mut steps, mut branches) = (Vec::<Placed<StepLog>>::new(), Vec::<Placed<BranchLog>>::new());
    for (file, bytes) in chunks {
        let location = || place(file);
        if file.starts_with("StepLog-") {
            steps.push(document::read(bytes, location)?);
        } else if file.starts_with("BranchLog-") {
            branches.push(document::read(bytes, location)?);
        } else if file.starts_with("Attempt-") {
            log.put_attempt(None, document::read::<AttemptLog>(bytes, location)?);
        }
    }
    let name = |step: &Placed<StepLog>| step.log.internal_name.clone();
    let places: Places = steps.iter().map(|step| (name(step), step.order)).collect();
    let branch_places: Places = branches.iter().map(|b| (b.log.internal_name.clone(), b.order)).collect();
    // What encloses something has a shorter name.
    steps.sort_by_key(|step| std::cmp::Reverse(step.log.internal_name.len()));
    branches.sort_by_key(|branch| branch.log.internal_name.len());
    let mut put_shorter = |log: &mut RunLog, than: usize| {
        while let Some(step) = steps.pop_if(|step| step.log.internal_name.len() < than) {
            log.put_step(step.log);
        }
    };
    for branch in branches {
        put_shorter(&mut log, branch.log.internal_name.len());
        // Its step was written before it; only a hand that removes files can have parted them.
        if !log.put_branch(branch.log) {
            tracing::warn!(run_id = %log.run_id, "a branch is left out of a run log, since its step is not there");
        }
    }
    put_shorter(&mut log, usize::MAX);
    order(&mut log.steps, &places, &branch_places);
    Ok(Some(log))
}

/// The document without steps and attempts.
pub(super) fn header(chunks: &Chunks, place: impl Fn(&str) -> String) -> Result<Option<RunLog>, StoreError> {
    let Some(bytes) = chunks.get(HEADER) else { return Ok(None) };
    let mut log: RunLog = document::read(bytes, || place(HEADER))?;
    if let Some(bytes) = chunks.get(PARAMETERS) {
        log.parameters = document::read(bytes, || place(PARAMETERS))?;
    }
    Ok(Some(log))
}

fn order(steps: &mut IndexMap<String, StepLog>, places: &Places, branch_places: &Places) {
    steps.sort_by_key(|name, _| places.get(name).copied());
    for step in steps.values_mut() {
        step.branches.sort_by_key(|name, _| branch_places.get(name).copied());
        for branch in step.branches.values_mut() {
            order(&mut branch.steps, places, branch_places);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::runs::{NewRunLog, RunId};

    #[test]
    fn a_document_is_what_its_chunks_make_in_its_order() {
        let mut log = RunLog::from(NewRunLog::new(RunId::fresh(), "t"));
        for name in ["z", "a b/c", "m"] {
            log.put_step(StepLog::new(name));
            for branch in ["two", "one"] {
                assert!(log.put_branch(BranchLog::new(format!("{name}.{branch}"))));
                log.put_step(StepLog::new(format!("{name}.{branch}.s2")));
                log.put_step(StepLog::new(format!("{name}.{branch}.s1")));
            }
        }
        log.put_attempt(None, AttemptLog::new(1, DateTime::UNIX_EPOCH));
        log.put_attempt(Some("z.one.s1"), AttemptLog::new(1, DateTime::UNIX_EPOCH));
        assert!(log.set_parameters(Some("m.two"), [("p".to_owned(), 1.into())].into()));
        assert!(log.set_parameters(None, [("q".to_owned(), "x".into())].into()));

        let written = split(&log, Documents { compress: false }).unwrap();
        assert_eq!(written.last().unwrap().0, HEADER);
        let read = join(&written.into_iter().collect(), str::to_owned).unwrap().unwrap();

        assert_eq!(read, log);
        let names: Vec<_> = read.steps.keys().collect();
        assert_eq!(names, ["z", "a b/c", "m"]);
        assert_eq!(read.steps["m"].branches.keys().collect::<Vec<_>>(), ["m.two", "m.one"]);
    }
}
