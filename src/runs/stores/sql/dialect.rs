//! What the two databases say differently.

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// How transactions that write begin. SQLite's takes the lock of writers at once: a transaction that reads first and
/// writes later could find that somebody else wrote in between, and could only give up.
#[cfg(feature = "sqlite")]
pub(super) const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";

/// A statement behind a lock must see what its holder wrote before it, whatever the server's default is.
#[cfg(feature = "postgres")]
pub(super) const BEGIN_POSTGRES: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

impl Dialect {
    /// The type of texts, which compare by their bytes, as they do here, and not by the rules of a language.
    pub(super) fn text(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "TEXT",
            #[cfg(feature = "postgres")]
            Self::Postgres => "TEXT COLLATE \"C\"",
        }
    }

    /// The type of documents.
    pub(super) fn bytes(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "BLOB",
            #[cfg(feature = "postgres")]
            Self::Postgres => "BYTEA",
        }
    }

    /// A key that counts rows in the order in which they come, and is never given again.
    pub(super) fn counted(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            #[cfg(feature = "postgres")]
            Self::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        }
    }

    /// What a reading statement ends with that keeps others from changing what it reads, until its transaction ends.
    pub(super) fn locking(self) -> &'static str {
        match self {
            // The transaction keeps all other writers out.
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "",
            #[cfg(feature = "postgres")]
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// A statement that makes whoever says it with the same number wait until this transaction ends.
    pub(super) fn turn(self) -> Option<&'static str> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => None,
            #[cfg(feature = "postgres")]
            Self::Postgres => Some("SELECT pg_advisory_xact_lock($1)"),
        }
    }

    /// A question for the number of tables of that name, which is given as a value, as it is quoted in statements.
    pub(super) fn exists(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = trim($1, '\"') COLLATE NOCASE",
            #[cfg(feature = "postgres")]
            // Names are remembered until a table is opened, also those of tables that were not there: `to_regclass` by
            // itself answers what held before a wait for others who made them.
            Self::Postgres => "SELECT COUNT(*) FROM pg_catalog.pg_class WHERE oid = to_regclass($1)",
        }
    }
}
