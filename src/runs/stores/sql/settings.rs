//! What a store in a database can be told beside what every store can.

use std::time::Duration;

use serde::Deserialize;

use super::names::Tables;
use crate::runs::SecretString;
use crate::runs::stores::StoreError;

/// How a database is reached, and the names of its tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SqlSettings {
    /// Its address, with what lets us in: `postgresql://user:password@host/database`, `sqlite:///var/lib/app/runs.db`.
    pub connection_string: SecretString,
    /// The table of documents, with whose name those of the other tables begin. Default: `runnel_logs`.
    #[serde(default = "default_table")]
    pub table_name: String,
    /// How many connections there may be at once. Default: 20.
    #[serde(default = "default_connections")]
    pub max_connections: u32,
    /// How long a statement may take, and how long one may wait for a connection, in seconds. Default: 30.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

/// Longer than anybody waits, and short enough for every database.
const LONGEST_TIMEOUT: u32 = 86_400;

fn default_table() -> String {
    "runnel_logs".to_owned()
}

const fn default_connections() -> u32 {
    20
}

const fn default_timeout() -> u32 {
    30
}

impl SqlSettings {
    /// With that address, and defaults for everything else.
    pub fn new(connection_string: impl Into<String>) -> Self {
        Self {
            connection_string: SecretString::new(connection_string),
            table_name: default_table(),
            max_connections: default_connections(),
            timeout_seconds: default_timeout(),
        }
    }

    /// With tables of that name.
    pub fn table_name(mut self, name: impl Into<String>) -> Self {
        self.table_name = name.into();
        self
    }

    /// The tables, if nothing is wrong with the settings. `field` is their place, for the error.
    pub(super) fn check(&self, field: &str) -> Result<Tables, StoreError> {
        let wrong = |reason: String| StoreError::Config { field: field.to_owned(), reason };
        if self.max_connections == 0 {
            return Err(wrong("`max_connections` cannot be 0: nothing could be written".into()));
        }
        if !(1..=LONGEST_TIMEOUT).contains(&self.timeout_seconds) {
            let reason =
                format!("`timeout_seconds` cannot be {}: expected 1 to {LONGEST_TIMEOUT}", self.timeout_seconds);
            return Err(wrong(reason));
        }
        Tables::named(&self.table_name).map_err(wrong)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }
}
