//! Documents and lines in tables of a database: SQLite in a file, or PostgreSQL.
//!
//! A document is a row of `<table>` for its header and rows of `<table>_steps` and `<table>_parameters` for its parts,
//! so that a change writes what it changes. Lines of the task log are rows of `<table>_events`. Columns are for asking;
//! what is answered is always read out of `doc`, which is the JSON that every store keeps, or gzip of it.
//!
//! Any number of writers, also in several processes, may change one run: each locks the row of its header (SQLite: the
//! database) from reading to writing. Readers lock nothing; each reads by a single statement, and so of a single moment.
//!
//! What the two databases do differently is in [`dialect`] and in how they are connected to.

mod connect;
mod database;
mod dialect;
mod documents;
mod failure;
mod filters;
mod lines;
mod names;
mod parts;
mod schema;
mod settings;
mod statement;

use std::time::Duration;

use super::document::Documents;
use super::{StoreError, StoreSummary};
use connect::Connected;
use database::Database;
use names::Tables;

pub use settings::SqlSettings;

/// Documents and lines in a database.
#[derive(Debug)]
pub struct SqlStore {
    database: Database,
    tables: Tables,
    documents: Documents,
    retention: Option<Duration>,
    kind: &'static str,
    /// Its address, without secrets.
    address: String,
}

impl SqlStore {
    /// The type that configuration names.
    #[cfg(feature = "sqlite")]
    pub const SQLITE: &'static str = "sqlite";

    /// The type that configuration names.
    #[cfg(feature = "postgres")]
    pub const POSTGRES: &'static str = "postgres";

    /// In a file, which is made if need be: `sqlite:///var/lib/app/runs.db`, or its path alone. `sqlite::memory:` is
    /// gone with the store.
    ///
    /// The file must lie on a disk of this machine: several processes may share it, several machines may not.
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(settings: SqlSettings) -> Result<Self, StoreError> {
        let field = "run_log_store.sqlite";
        let tables = settings.check(field)?;
        Self::open(Self::SQLITE, connect::sqlite(&settings, field).await?, tables).await
    }

    /// On a server: `postgresql://user:password@host/database`.
    #[cfg(feature = "postgres")]
    pub async fn postgres(settings: SqlSettings) -> Result<Self, StoreError> {
        let field = "run_log_store.postgres";
        let tables = settings.check(field)?;
        Self::open(Self::POSTGRES, connect::postgres(&settings, field).await?, tables).await
    }

    async fn open(kind: &'static str, connected: Connected, tables: Tables) -> Result<Self, StoreError> {
        let Connected { database, address } = connected;
        schema::prepare(&database, &tables, &address).await?;
        Ok(Self { database, tables, documents: Documents { compress: false }, retention: None, kind, address })
    }

    /// Keeps runs that have ended only so long.
    pub fn retention(mut self, kept: Duration) -> Self {
        self.retention = Some(kept);
        self
    }

    /// Compresses large documents, or not. Default: not.
    pub fn compression(mut self, compress: bool) -> Self {
        self.documents = Documents { compress };
        self
    }

    /// What it is, for people.
    fn told(&self) -> StoreSummary {
        StoreSummary::new(self.kind)
            .with("Connection", self.address.as_str())
            .with("Table", self.tables.name())
            .with_retention(self.retention)
            .with("Compression", self.documents.compress)
    }

    /// Where something lies that cannot be read.
    fn location(&self, what: impl std::fmt::Display) -> String {
        format!("{what} in `{}` of {}", self.tables.name(), self.address)
    }
}
