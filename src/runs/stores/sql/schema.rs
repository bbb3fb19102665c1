//! The tables: made when a store is opened for the first time, and known by their version from then on.

use super::database::{Database, Transaction};
use super::dialect::Dialect;
use super::names::Tables;
use super::statement::Statement;
use crate::runs::stores::StoreError;

/// The version that this code reads and writes. What changes the tables is a new one, and a step from the one before.
const VERSION: i64 = 1;

const DOING: &str = "prepare its tables";

/// Makes the tables if there are none, or finds out that they are ours.
///
/// Whoever may not make tables can use those that somebody else made: nothing is written if they are there. Two that
/// begin at once take turns.
pub(super) async fn prepare(database: &Database, tables: &Tables, address: &str) -> Result<(), StoreError> {
    let dialect = database.dialect();
    let exists = |table: &str| Statement::new(dialect.exists()).with(table);
    let version = || Statement::new(format!("SELECT version FROM {}", tables.schema));
    let found = database.rows(DOING, exists(&tables.schema)).await?;
    if found.first().map_or(Ok(0), |row| row.int(0))? > 0 {
        return check(database.rows(DOING, version()).await?.first().map(|row| row.int(0)), tables, address);
    }
    let mut making = database.begin(DOING).await?;
    if let Some(turn) = dialect.turn() {
        making.rows(Statement::new(turn).with(tables.turn())).await?;
    }
    // Again: somebody may have made them since.
    let found = making.rows(exists(&tables.schema)).await?;
    if found.first().map_or(Ok(0), |row| row.int(0))? > 0 {
        return check(making.rows(version()).await?.first().map(|row| row.int(0)), tables, address);
    }
    for table in [&tables.runs, &tables.steps, &tables.parameters, &tables.events] {
        let found = making.rows(exists(table)).await?;
        if found.first().map_or(Ok(0), |row| row.int(0))? > 0 {
            let reason =
                format!("there is a table {table} in {address} that is not runnel's; choose another `table_name`");
            return Err(StoreError::Config { field: "run_log_store".into(), reason });
        }
    }
    make(&mut making, dialect, tables).await?;
    making.commit().await
}

fn check(version: Option<Result<i64, StoreError>>, tables: &Tables, address: &str) -> Result<(), StoreError> {
    let reason = match version.transpose()? {
        Some(VERSION) => return Ok(()),
        Some(other) => format!(
            "the tables `{}` in {address} are of version {other}, and this program knows version {VERSION}; use the \
             release that made them, or choose another `table_name`",
            tables.name()
        ),
        None => {
            format!("the table {} in {address} is empty, and not runnel's; choose another `table_name`", tables.schema)
        }
    };
    Err(StoreError::Config { field: "run_log_store".into(), reason })
}

async fn make(making: &mut Transaction<'_>, dialect: Dialect, tables: &Tables) -> Result<(), StoreError> {
    let Tables { runs, steps, parameters, events, schema, .. } = tables;
    let (text, bytes, counted) = (dialect.text(), dialect.bytes(), dialect.counted());
    let mut statements = vec![
        // Times are microseconds of Unix time.
        format!(
            "CREATE TABLE {runs} (run_id {text} PRIMARY KEY, task_name {text} NOT NULL, tag {text} NOT NULL, \
             status {text} NOT NULL, created_at BIGINT NOT NULL, \"start\" BIGINT, \"end\" BIGINT, \
             doc {bytes} NOT NULL, encoding {text} NOT NULL)"
        ),
        // Steps, with all that is in them, and the attempts of the whole run.
        format!(
            "CREATE TABLE {steps} (run_id {text} NOT NULL, kind {text} NOT NULL, name {text} NOT NULL, \
             place BIGINT NOT NULL, doc {bytes} NOT NULL, encoding {text} NOT NULL, PRIMARY KEY (run_id, kind, name))"
        ),
        format!(
            "CREATE TABLE {parameters} (run_id {text} NOT NULL, name {text} NOT NULL, place BIGINT NOT NULL, \
             doc {bytes} NOT NULL, encoding {text} NOT NULL, PRIMARY KEY (run_id, name))"
        ),
        // `created` and `runtime` are seconds, as everywhere in the task log.
        format!(
            "CREATE TABLE {events} (id {counted}, event_id {text} NOT NULL UNIQUE, task_name {text} NOT NULL, \
             action {text} NOT NULL, created DOUBLE PRECISION NOT NULL, run_id {text} NOT NULL, \
             activation BIGINT NOT NULL, \"start\" BIGINT, \"end\" BIGINT, runtime DOUBLE PRECISION, \
             attempt BIGINT NOT NULL, kind {text} NOT NULL, worker_id {text} NOT NULL, host {text} NOT NULL, \
             \"partition\" BIGINT, level {text} NOT NULL, doc {bytes} NOT NULL, encoding {text} NOT NULL)"
        ),
        format!("CREATE TABLE {schema} (version BIGINT NOT NULL)"),
        format!("INSERT INTO {schema} (version) VALUES ({VERSION})"),
    ];
    for (table, on, columns) in [
        (runs, "created", "created_at, run_id"),
        (runs, "status", "status, created_at, run_id"),
        (runs, "tag", "tag, created_at, run_id"),
        (runs, "task", "task_name, created_at, run_id"),
        (events, "event_action", "task_name, action, created"),
        (events, "event_task", "task_name, id"),
        (events, "event_run", "run_id, id"),
        (events, "event_created", "created"),
    ] {
        statements.push(format!("CREATE INDEX {} ON {table} ({columns})", tables.index(on)));
    }
    for statement in statements {
        making.execute(Statement { recurs: false, ..Statement::new(statement) }).await?;
    }
    Ok(())
}
