//! How the runs of an app get their ids.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use super::{InvalidRunId, RunId};
use crate::error::panic_text;

type Make = dyn Fn(&str, &Value) -> String + Send + Sync;

/// Makes ids: fresh ones, unless the app has a way of its own.
#[derive(Clone, Default)]
pub(crate) struct RunIds(Option<Arc<Make>>);

impl RunIds {
    /// By the app's own function of the task's name and the run's parameters.
    pub(crate) fn made_by(make: impl Fn(&str, &Value) -> String + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(make)))
    }

    /// The id of a new run.
    pub(crate) fn of(&self, task: &str, parameters: &Value) -> RunId {
        let Some(make) = &self.0 else { return RunId::fresh() };
        let made = catch_unwind(AssertUnwindSafe(|| make(task, parameters)));
        let made = made.map_err(|panic| format!("the function that makes it panicked: {}", panic_text(&*panic)));
        made.and_then(|id| id.parse().map_err(|refused: InvalidRunId| refused.to_string())).unwrap_or_else(|refused| {
            let fresh = RunId::fresh();
            tracing::warn!(%task, %refused, run_id = %fresh, "the app's own id of a run cannot be used: it gets a fresh one");
            fresh
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_apps_own_is_taken_where_it_can_be_one() {
        let ids = RunIds::made_by(|task, parameters| format!("{task}-{}", parameters["day"].as_str().unwrap_or("/")));

        assert_eq!(ids.of("ingest", &serde_json::json!({ "day": "2026-11-22" })).as_str(), "ingest-2026-11-22");
        let fresh = ids.of("ingest", &Value::Null);
        assert!(!fresh.as_str().starts_with("ingest"), "{fresh}");
    }

    #[test]
    fn a_run_whose_id_cannot_be_made_gets_a_fresh_one() {
        let ids = RunIds::made_by(|_, _| panic!("no more numbers"));

        assert_ne!(ids.of("ingest", &Value::Null), ids.of("ingest", &Value::Null));
    }
}
