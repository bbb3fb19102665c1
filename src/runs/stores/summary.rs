//! What a store is, for people.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::runs::mask;

/// What a store is, for people: names and values, in JSON or a line each. Secrets are masked on the way in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct StoreSummary(Map<String, Value>);

impl StoreSummary {
    /// Of that type.
    pub fn new(service_name: &str) -> Self {
        Self::default().with("Type", service_name)
    }

    /// With that as well.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let told = Map::from_iter([(name.to_owned(), value.into())]);
        self.0.extend(mask::map(&told));
        self
    }

    /// With how long it keeps what has ended.
    pub fn with_retention(self, kept: Option<std::time::Duration>) -> Self {
        const DAY: f64 = 86_400.0;
        let kept = kept.map_or("for ever".into(), |kept| format!("{} days", kept.as_secs_f64() / DAY));
        self.with("Retention", kept)
    }

    /// What it says under that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl fmt::Display for StoreSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n" };
            match value {
                Value::String(text) => write!(f, "{gap}{name}: {text}")?,
                other => write!(f, "{gap}{name}: {other}")?,
            }
        }
        Ok(())
    }
}
