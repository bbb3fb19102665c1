//! How a job on demand is run: what its code says, over what `[job.NAME]` of `runnel.toml` says, over the defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::RetryPolicy;
use crate::settings::read_duration;

/// Where the trace of each attempt is stored, beside the run's own document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceInfo {
    /// Nowhere.
    #[default]
    Off,
    /// In the app's run log store.
    InRunLogStore,
    /// In the store of that name: see `App::trace_store`.
    In(String),
}

impl From<bool> for TraceInfo {
    fn from(stored: bool) -> Self {
        if stored { Self::InRunLogStore } else { Self::Off }
    }
}

impl From<&str> for TraceInfo {
    fn from(store: &str) -> Self {
        Self::In(store.to_owned())
    }
}

impl From<String> for TraceInfo {
    fn from(store: String) -> Self {
        Self::In(store)
    }
}

/// What the code of a job on demand says of its runs. What it leaves out is for the file to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) retry_steps: Option<Vec<String>>,
    pub(crate) store_trace_info: Option<TraceInfo>,
    pub(crate) run_from_clean_folder: Option<bool>,
    pub(crate) tag: Option<String>,
    /// What it does, in words: a run that began with others cannot be resumed.
    pub(crate) dag: String,
}

/// What `[job.NAME]` of `runnel.toml` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobSection {
    retry_policy: Option<WrittenPolicy>,
    retry_steps: Option<Vec<String>>,
    store_trace_info: Option<WrittenTrace>,
    run_from_clean_folder: Option<bool>,
    tag: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum WrittenPolicy {
    None,
    Fixed {
        max_attempts: u32,
        #[serde(default)]
        wait: Span,
    },
    Backoff {
        max_attempts: u32,
        multiplier: f64,
        min: Span,
        max: Span,
    },
}

/// A number of seconds, or a text like `10s`.
#[derive(Clone, Copy, Debug, Default)]
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected seconds, or a text like `10s`")]
        enum Written {
            Seconds(f64),
            Text(String),
        }
        let read = match Written::deserialize(from)? {
            Written::Seconds(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Written::Text(text) => read_duration(&text),
        };
        read.map(Self).ok_or_else(|| serde::de::Error::custom("expected seconds, or a text like `10s`"))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected true, false or the name of a store")]
enum WrittenTrace {
    Switch(bool),
    Store(String),
}

impl WrittenPolicy {
    fn read(&self) -> RetryPolicy {
        match *self {
            Self::None => RetryPolicy::None,
            Self::Fixed { max_attempts, wait } => RetryPolicy::fixed(max_attempts, wait.0),
            Self::Backoff { max_attempts, multiplier, min, max } => {
                RetryPolicy::backoff(max_attempts, multiplier, min.0, max.0)
            }
        }
    }
}

/// How a job is run, all told.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) retry: RetryPolicy,
    /// The steps whose errors are worth another attempt.
    pub(crate) retry_steps: Vec<String>,
    pub(crate) store_trace_info: TraceInfo,
    pub(crate) run_from_clean_folder: bool,
    pub(crate) tag: String,
    pub(crate) dag: String,
    /// Where each of these came from. Never the values.
    pub(crate) origins: BTreeMap<String, String>,
}

impl Plan {
    /// What holds, under what the file says.
    pub(crate) fn over(&self, section: &JobSection) -> Resolved {
        let mut origins = BTreeMap::new();
        macro_rules! decided {
            ($name:literal, $code:expr, $file:expr) => {{
                let (code, file) = ($code, $file);
                let origin = match (&code, &file) {
                    (Some(_), _) => "code",
                    (None, Some(_)) => "runnel.toml",
                    (None, None) => "default",
                };
                origins.insert($name.to_owned(), origin.to_owned());
                code.or(file)
            }};
        }
        let trace = section.store_trace_info.clone().map(|written| match written {
            WrittenTrace::Switch(stored) => stored.into(),
            WrittenTrace::Store(name) => name.into(),
        });
        let policy = section.retry_policy.as_ref().map(WrittenPolicy::read);
        let retry = decided!("retry_policy", self.retry.clone(), policy).unwrap_or_default();
        let steps = decided!("retry_steps", self.retry_steps.clone(), section.retry_steps.clone());
        let store_trace_info = decided!("store_trace_info", self.store_trace_info.clone(), trace).unwrap_or_default();
        let clean = decided!("run_from_clean_folder", self.run_from_clean_folder, section.run_from_clean_folder);
        let tag = decided!("tag", self.tag.clone(), section.tag.clone()).unwrap_or_default();
        Resolved {
            retry,
            retry_steps: steps.unwrap_or_else(|| vec!["load".to_owned()]),
            store_trace_info,
            run_from_clean_folder: clean.unwrap_or_default(),
            tag,
            dag: self.dag.clone(),
            origins,
        }
    }
}

impl Resolved {
    /// As the run log keeps it.
    pub(crate) fn run_config(&self) -> Map<String, Value> {
        let trace = match &self.store_trace_info {
            TraceInfo::Off => Value::Bool(false),
            TraceInfo::InRunLogStore => Value::Bool(true),
            TraceInfo::In(name) => name.as_str().into(),
        };
        [
            ("retry_policy", self.retry.to_string().into()),
            ("retry_steps", self.retry_steps.clone().into()),
            ("store_trace_info", trace),
            ("run_from_clean_folder", self.run_from_clean_folder.into()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<JobSection, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn code_goes_before_the_file_and_the_file_before_defaults() {
        let file = section(
            "retry_steps = [\"normalize\"]\ntag = \"nightly\"\nstore_trace_info = \"traces\"\n\
             retry_policy = { type = \"backoff\", max_attempts = 5, multiplier = 2, min = 1, max = \"10s\" }",
        );
        let plan = Plan { tag: Some("by hand".into()), ..Plan::default() };

        let resolved = plan.over(&file.unwrap());

        assert_eq!(resolved.retry.to_string(), "backoff(max_attempts = 5, multiplier = 2, min = 1s, max = 10s)");
        assert_eq!((resolved.retry_steps, resolved.tag), (vec!["normalize".to_owned()], "by hand".to_owned()));
        assert_eq!(resolved.store_trace_info, TraceInfo::In("traces".into()));
        assert!(!resolved.run_from_clean_folder);
        let origin = |name: &str| resolved.origins[name].as_str();
        assert_eq!(
            [origin("tag"), origin("retry_steps"), origin("run_from_clean_folder")],
            ["code", "runnel.toml", "default"]
        );
    }

    #[test]
    fn unknown_members_of_the_section_are_refused() {
        for text in
            ["retries = 3", "retry_policy = { type = \"fixed\", attempts = 3 }", "retry_policy = { type = \"x\" }"]
        {
            assert!(section(text).is_err(), "{text}");
        }
        assert!(section("retry_policy = { type = \"fixed\", max_attempts = 3 }").is_ok());
    }

    #[test]
    fn without_anything_only_the_load_step_is_worth_another_attempt() {
        let resolved = Plan::default().over(&JobSection::default());
        assert_eq!(resolved.retry_steps, ["load"]);
        assert_eq!(resolved.retry.to_string(), "none");
    }
}
