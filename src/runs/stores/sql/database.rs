//! The connections to a database, and what is said over them: statements in, rows out, nothing that lasts for ever.

use std::time::Duration;

use sqlx::query::Query;
use sqlx::{ColumnIndex, Decode, Encode, Type};
use tokio::sync::{Mutex, MutexGuard};

use super::dialect::Dialect;
use super::failure::{failed, no_answer, no_connection};
use super::statement::{Statement, Value};
use crate::clock;
use crate::runs::stores::StoreError;

/// How much longer than the database itself we wait for what it should have ended by now.
const GRACE: Duration = Duration::from_secs(5);

/// A database, by its connections.
#[derive(Debug)]
pub(super) struct Database {
    pool: Pool,
    /// How long a statement may take.
    timeout: Duration,
    /// Held by the transaction that writes to SQLite, which takes one at a time: in here each has its turn, while SQLite
    /// lets those who wait look again and again, and be unlucky for ever.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL locks rows, not the database"))]
    writing: Mutex<()>,
}

/// Connections of one kind.
#[derive(Debug)]
pub(super) enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

/// Several statements that happen together or not at all: not, if it is dropped.
pub(super) struct Transaction<'d> {
    inner: Inner,
    timeout: Duration,
    doing: &'static str,
    _turn: Option<MutexGuard<'d, ()>>,
}

enum Inner {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// A row of an answer.
pub(super) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
}

impl Database {
    pub(super) fn new(pool: Pool, timeout: Duration) -> Self {
        Self { pool, timeout, writing: Mutex::default() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Begins to write. `doing` is for errors.
    pub(super) async fn begin(&self, doing: &'static str) -> Result<Transaction<'_>, StoreError> {
        let turn = async {
            match &self.pool {
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(_) => Some(self.writing.lock().await),
                #[cfg(feature = "postgres")]
                Pool::Postgres(_) => None,
            }
        };
        let turn = or_late(self.timeout, doing, async { Ok(turn.await) }).await?;
        let begun = async {
            match &self.pool {
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => pool.begin_with(super::dialect::BEGIN_SQLITE).await.map(Inner::Sqlite),
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => pool.begin_with(super::dialect::BEGIN_POSTGRES).await.map(Inner::Postgres),
            }
        };
        // The wait for a connection and that for the statement.
        let inner = or_late(self.timeout * 2, doing, begun).await?;
        Ok(Transaction { inner, timeout: self.timeout, doing, _turn: turn })
    }

    /// Reads by one statement, which sees a single moment. `doing` is for errors.
    pub(super) async fn rows(&self, doing: &'static str, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let Statement { text, values, recurs } = &statement;
        let rows = async {
            match &self.pool {
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => {
                    let rows = query::<sqlx::Sqlite>(text, values, *recurs).fetch_all(pool).await?;
                    Ok(rows.into_iter().map(Row::Sqlite).collect())
                }
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => {
                    let rows = query::<sqlx::Postgres>(text, values, *recurs).fetch_all(pool).await?;
                    Ok(rows.into_iter().map(Row::Postgres).collect())
                }
            }
        };
        or_late(self.timeout * 2, doing, rows).await
    }
}

impl Transaction<'_> {
    /// Does something, and says to how many rows.
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let Statement { text, values, recurs } = &statement;
        let done = async {
            match &mut self.inner {
                #[cfg(feature = "sqlite")]
                Inner::Sqlite(within) => {
                    let done = query::<sqlx::Sqlite>(text, values, *recurs).execute(&mut **within).await?;
                    Ok(done.rows_affected())
                }
                #[cfg(feature = "postgres")]
                Inner::Postgres(within) => {
                    let done = query::<sqlx::Postgres>(text, values, *recurs).execute(&mut **within).await?;
                    Ok(done.rows_affected())
                }
            }
        };
        or_late(self.timeout, self.doing, done).await
    }

    /// Reads.
    pub(super) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let Statement { text, values, recurs } = &statement;
        let rows = async {
            match &mut self.inner {
                #[cfg(feature = "sqlite")]
                Inner::Sqlite(within) => {
                    let rows = query::<sqlx::Sqlite>(text, values, *recurs).fetch_all(&mut **within).await?;
                    Ok(rows.into_iter().map(Row::Sqlite).collect())
                }
                #[cfg(feature = "postgres")]
                Inner::Postgres(within) => {
                    let rows = query::<sqlx::Postgres>(text, values, *recurs).fetch_all(&mut **within).await?;
                    Ok(rows.into_iter().map(Row::Postgres).collect())
                }
            }
        };
        or_late(self.timeout, self.doing, rows).await
    }

    /// Makes it last.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let committed = async {
            match self.inner {
                #[cfg(feature = "sqlite")]
                Inner::Sqlite(within) => within.commit().await,
                #[cfg(feature = "postgres")]
                Inner::Postgres(within) => within.commit().await,
            }
        };
        or_late(self.timeout, self.doing, committed).await
    }
}

/// The answer, or that there was none in time: a server that vanished without a word must not hold us up for ever. What
/// was under way is dropped, and undone with its transaction.
async fn or_late<T>(
    timeout: Duration,
    doing: &str,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        answer = answer => answer.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => no_connection(doing),
            error => failed(doing, error),
        }),
        () = clock::sleep(timeout + GRACE) => Err(no_answer(doing, timeout + GRACE)),
    }
}

fn query<'q, DB>(text: &'q str, values: &'q [Value], recurs: bool) -> Query<'q, DB, DB::Arguments<'q>>
where
    DB: sqlx::Database + sqlx::database::HasStatementCache,
    &'q str: Encode<'q, DB> + Type<DB>,
    Option<i64>: Encode<'q, DB> + Type<DB>,
    Option<f64>: Encode<'q, DB> + Type<DB>,
    &'q [u8]: Encode<'q, DB> + Type<DB>,
{
    let query = sqlx::query(text).persistent(recurs);
    values.iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text.as_str()),
        Value::Int(int) => query.bind(*int),
        Value::Float(float) => query.bind(*float),
        Value::Bytes(bytes) => query.bind(bytes.as_slice()),
    })
}

impl Row {
    pub(super) fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => get(row, column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => get(row, column),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<String, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => get(row, column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => get(row, column),
        }
    }

    pub(super) fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => get(row, column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => get(row, column),
        }
    }
}

/// A column of another type than ours means that somebody changed the table.
fn get<'r, R, T>(row: &'r R, column: usize) -> Result<T, StoreError>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    T: Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(column).map_err(|error| failed("read a column of its tables", error))
}
