//! A document as a header and parts, each a row: what a change does not touch is not written.
//!
//! Parts are the steps of the run, each with all that is in it, the attempts of the whole run, and the parameters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::key;
use crate::runs::stores::StoreError;
use crate::runs::stores::document::{self, Documents};
use crate::runs::{Parameter, Parameters, RunLog, StepLog};

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Step,
    Attempt,
    Parameter,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Attempt => "attempt",
            Self::Parameter => "parameter",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Step, Self::Attempt, Self::Parameter].into_iter().find(|kind| kind.word() == word)
    }
}

/// A part as it is kept: its place among its siblings, and its bytes.
pub(super) type Kept = (i64, Vec<u8>);

/// Parts by what they are and their keys.
pub(super) type Parts = BTreeMap<(Kind, String), Kept>;

/// A part that has a name, which a column may not be able to hold.
#[derive(Serialize, Deserialize)]
struct Named<N, T> {
    name: N,
    log: T,
}

/// The bytes of the header of a document, and its parts.
pub(super) fn split(log: &RunLog, documents: Documents) -> Result<(Vec<u8>, Parts), StoreError> {
    let mut parts = Parts::new();
    for (place, (name, log)) in (0..).zip(&log.steps) {
        let bytes = documents.write(&Named { name, log })?;
        parts.insert((Kind::Step, key(name).into_owned()), (place, bytes));
    }
    for (place, attempt) in (0..).zip(&log.attempts) {
        parts.insert((Kind::Attempt, place.to_string()), (place, documents.write(attempt)?));
    }
    for (place, (name, log)) in (0..).zip(&log.parameters) {
        let bytes = documents.write(&Named { name, log })?;
        parts.insert((Kind::Parameter, key(name).into_owned()), (place, bytes));
    }
    let header = RunLog { parameters: Parameters::new(), ..log.header() };
    Ok((documents.write(&header)?, parts))
}

/// The document out of the bytes of its header and its parts, whichever of them were read. `location` is for errors.
pub(super) fn join(header: &[u8], parts: &Parts, location: impl Fn() -> String) -> Result<RunLog, StoreError> {
    let mut log: RunLog = document::read(header, &location)?;
    let mut placed: Vec<_> = parts.iter().map(|((kind, _), (place, bytes))| (*kind, *place, bytes)).collect();
    placed.sort_unstable_by_key(|&(kind, place, _)| (kind, place));
    for (kind, _, bytes) in placed {
        match kind {
            Kind::Step => {
                let step: Named<String, StepLog> = document::read(bytes, &location)?;
                log.steps.insert(step.name, step.log);
            }
            Kind::Attempt => log.attempts.push(document::read(bytes, &location)?),
            Kind::Parameter => {
                let parameter: Named<String, Parameter> = document::read(bytes, &location)?;
                log.parameters.insert(parameter.name, parameter.log);
            }
        }
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::runs::{AttemptLog, BranchLog, NewRunLog, RunId};

    #[test]
    fn a_document_is_what_its_parts_make_in_its_order() {
        let mut log = RunLog::from(NewRunLog::new(RunId::fresh(), "t"));
        for name in ["z", "a b/c", "nul\0", "m"] {
            log.put_step(StepLog::new(name));
            assert!(log.put_branch(BranchLog::new(format!("{name}.two"))));
            log.put_step(StepLog::new(format!("{name}.two.s")));
            log.put_attempt(Some(name), AttemptLog::new(1, DateTime::UNIX_EPOCH));
            assert!(log.set_parameters(None, [(name.to_owned(), name.into())].into()));
        }
        // Written down under another name than its own, and twice the same number: whatever there is, is kept.
        log.steps.insert("alias".to_owned(), StepLog::new("m"));
        log.attempts = (0..12).map(|n| AttemptLog::new(n / 2, DateTime::UNIX_EPOCH)).collect();

        let (header, parts) = split(&log, Documents { compress: false }).unwrap();

        assert_eq!(parts.len(), 5 + 12 + 4);
        let read = join(&header, &parts, String::new).unwrap();
        assert_eq!(read, log);
        assert_eq!(read.steps.keys().collect::<Vec<_>>(), log.steps.keys().collect::<Vec<_>>());
        assert_eq!(read.parameters.keys().collect::<Vec<_>>(), log.parameters.keys().collect::<Vec<_>>());
    }
}
