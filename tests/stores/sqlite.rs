//! SQLite, in a file of each test's own.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use runnel::runs::stores::{SqlSettings, SqlStore};
use runnel::runs::{NewRunLog, RunLogStore, StoreError, Stores, open_store};
use tempfile::TempDir;

fn address(of: &TempDir) -> String {
    format!("sqlite://{}", of.path().join("sub/runs.db").display())
}

pub fn config(of: &TempDir) -> toml::Table {
    toml::Table::from_iter([("connection_string".to_owned(), address(of).into())])
}

fn settings(of: &TempDir) -> SqlSettings {
    SqlSettings::new(address(of))
}

async fn open() -> (Arc<SqlStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::sqlite(settings(&folder)).await.unwrap().retention(crate::documents::KEPT);
    (Arc::new(store), folder)
}

crate::all_of_documents!(open().await);
crate::all_of_lines!(open().await);
crate::all_of_sql!(open().await);
crate::suite! { open().await, parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }

/// As it is configured: with its cache, batches and retention.
mod configured {
    use super::*;

    async fn open() -> (Stores, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (open_store("sqlite", config(&folder)).await.unwrap(), folder)
    }

    crate::all_of_documents!({
        let (stores, folder) = open().await;
        (stores.run_logs, folder)
    });
    crate::all_of_lines!({
        let (stores, folder) = open().await;
        (stores.task_log, folder)
    });
}

/// In memory: one connection, and gone with its store.
mod in_memory {
    use super::*;

    async fn open() -> (Arc<SqlStore>, ()) {
        let settings = SqlSettings::new("sqlite:///:memory:");
        (Arc::new(SqlStore::sqlite(settings).await.unwrap().retention(crate::documents::KEPT)), ())
    }

    crate::all_of_documents!(open().await);
    crate::all_of_lines!(open().await);
    crate::suite! { open().await, parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_a_new_database_at_once_find_one_set_of_tables() {
    let folder = tempfile::tempdir().unwrap();
    crate::sql::open_at_once(|| SqlStore::sqlite(settings(&folder))).await;
}

#[tokio::test]
async fn a_newer_database_and_tables_of_somebody_else_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::sqlite(settings(&folder)).await.unwrap();
    store.create_run_log(NewRunLog::new("r".parse().unwrap(), "t")).await.unwrap();
    let database = sqlx::SqlitePool::connect(&address(&folder)).await.unwrap();
    for statement in ["UPDATE runnel_logs_schema SET version = 7", "CREATE TABLE other (x TEXT)"] {
        sqlx::query(statement).execute(&database).await.unwrap();
    }

    let newer = SqlStore::sqlite(settings(&folder)).await.unwrap_err();
    assert!(matches!(&newer, StoreError::Config { reason, .. } if reason.contains("version 7")), "{newer}");
    let foreign = SqlStore::sqlite(settings(&folder).table_name("Other")).await.unwrap_err();
    assert!(matches!(&foreign, StoreError::Config { reason, .. } if reason.contains("table_name")), "{foreign}");
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM runnel_logs").fetch_one(&database).await.unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn only_its_owner_can_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::sqlite(settings(&folder)).await.unwrap();
    store.create_run_log(NewRunLog::new("r".parse().unwrap(), "t")).await.unwrap();

    let files = std::fs::read_dir(folder.path().join("sub")).unwrap().map(|entry| entry.unwrap());
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o77, 0, "{}", file.path().display());
    }
}

#[tokio::test]
async fn what_is_no_database_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/runs.db"), "no database, but long enough to look at".repeat(50)).unwrap();

    let error = SqlStore::sqlite(settings(&folder)).await.unwrap_err();

    assert!(error.to_string().contains("runs.db") && !error.is_transient(), "{error:?}");
    for (text, expected) in [("", "no address"), ("postgres://u:canary@h/d", "no address"), ("sqlite:", "no address")] {
        let refused = SqlStore::sqlite(SqlSettings::new(text)).await.unwrap_err().to_string();
        assert!(refused.starts_with("run_log_store.sqlite: ") && refused.contains(expected), "{refused}");
        assert!(!refused.contains("canary"), "{refused}");
    }
}

#[tokio::test]
async fn a_large_document_is_read_also_where_compression_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let packing = SqlStore::sqlite(settings(&folder)).await.unwrap().compression(true);
    let log = packing.create_run_log(NewRunLog::new("r".parse().unwrap(), "t")).await.unwrap();
    let long = [("text".to_owned(), "again ".repeat(400_000).into())].into();
    packing.set_parameters(&log.run_id, long, None).await.unwrap();

    let database = sqlx::SqlitePool::connect(&address(&folder)).await.unwrap();
    let kept: (i64, String) =
        sqlx::query_as("SELECT length(doc), encoding FROM runnel_logs_parameters").fetch_one(&database).await.unwrap();
    assert!(kept.0 < 100_000 && kept.1 == "gzip", "{kept:?}");
    let plain = SqlStore::sqlite(settings(&folder)).await.unwrap();
    assert_eq!(plain.get(&log.run_id).await.unwrap(), packing.get(&log.run_id).await.unwrap());
}
