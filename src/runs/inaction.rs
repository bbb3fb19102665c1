//! A run that found nothing to do: no failure, and told apart from success.

use crate::error::Error;

/// What a job returns as its error when there was nothing to do: the run ends as `inaction`, which is no failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing to do: {reason}")]
pub struct Inaction {
    reason: String,
}

impl Inaction {
    /// Why there was nothing to do.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The inaction that an error is, or is caused by.
    pub fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(inaction) = error.downcast_ref() {
                return Some(inaction);
            }
            cause = error.source();
        }
        None
    }
}

/// Says that a run found nothing to do: `return Err(inaction("no orders"));`.
pub fn inaction(reason: impl Into<String>) -> Error {
    Inaction { reason: reason.into() }.into()
}
