//! Stores from configuration: what is wrong is said with its place, before anything runs.

use std::sync::Arc;

use runnel::runs::{MemoryStore, NewRunLog, RunLogStore, StoreRegistry, Stores, open_store};
use serde::Deserialize;

fn table(text: &str) -> toml::Table {
    text.parse().unwrap()
}

async fn refused(name: &str, config: &str) -> String {
    open_store(name, table(config)).await.expect_err("it was taken").to_string()
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    assert_eq!(refused("file-system", "").await, "run_log_store.file-system: missing field `log_folder`");
    for (name, config, expected) in [
        ("chunkedfs", "", "did you mean `chunked-fs`?"),
        ("memory", "retension_days = 3", "did you mean `retention_days`?"),
        ("chunked-fs", "log_folder = 3", "log_folder"),
        ("chunked-fs", "log_folder = '/x'\nlog_foldr = '/y'", "unknown field `log_foldr`"),
        ("memory", "retention_days = 'ten'", "retention_days"),
        ("memory", "retention_days = -1", "retention_days"),
        ("memory", "task_log_repo = 'cvs'", "task_log_repo: unknown variant `cvs`"),
        ("memory", "task_log_repo = { type = 'csv', paht = 'x' }", "paht"),
    ] {
        let problem = refused(name, config).await;
        assert!(problem.contains(expected) && !problem.contains('\n'), "{problem}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MyConfig {
    connection_string: String,
}

struct MyStore {
    connection: String,
    inner: MemoryStore,
}

#[async_trait::async_trait]
impl RunLogStore for MyStore {
    fn service_name(&self) -> &str {
        "my-db"
    }

    async fn create_run_log(&self, new: NewRunLog) -> Result<runnel::runs::RunLog, runnel::runs::StoreError> {
        self.inner.create_run_log(new).await
    }

    async fn get_run_log_by_id(
        &self,
        id: &runnel::runs::RunId,
        full: bool,
    ) -> Result<runnel::runs::RunLog, runnel::runs::StoreError> {
        self.inner.get_run_log_by_id(id, full).await
    }

    async fn put_run_log(&self, log: &runnel::runs::RunLog) -> Result<(), runnel::runs::StoreError> {
        self.inner.put_run_log(log).await
    }

    async fn get_run_logs(
        &self,
        query: &runnel::runs::RunLogQuery,
    ) -> Result<runnel::runs::Page<runnel::runs::RunLog>, runnel::runs::StoreError> {
        self.inner.get_run_logs(query).await
    }

    async fn delete_run_log(&self, id: &runnel::runs::RunId) -> Result<bool, runnel::runs::StoreError> {
        self.inner.delete_run_log(id).await
    }

    fn summary(&self) -> runnel::runs::StoreSummary {
        runnel::runs::StoreSummary::new("my-db").with("Connection", self.connection.as_str())
    }
}

fn registry() -> StoreRegistry {
    let mut registry = StoreRegistry::default();
    registry.register("my-db", |config: MyConfig| async move {
        if config.connection_string == "nowhere" {
            return Err("no route to host".to_owned());
        }
        Ok(MyStore { connection: config.connection_string, inner: MemoryStore::new() })
    });
    registry
}

/// The least that a store must write itself is enough for everything else.
mod custom {
    use super::*;

    crate::all_of_documents!({
        let config = table("connection_string = 'x'\nretention_days = 90");
        (registry().open("my-db", config).await.unwrap().run_logs, ())
    });
}

#[tokio::test]
async fn a_store_of_ones_own_is_configured_like_any_other() {
    let section =
        "type = 'my-db'\n[config]\nconnection_string = 'postgresql://user:canary@host/db'\nretention_days = 180";
    let stores = registry().open_section(table(section)).await.unwrap();

    let summary = serde_json::to_value(stores.run_logs.summary()).unwrap();
    assert_eq!(summary["Type"], "my-db");
    assert_eq!(summary["Connection"], "postgresql://user:***@host/db");
    assert_eq!(summary["Retention"], "180 days");
    assert!(!format!("{stores:?}").contains("canary"));
    let missing = registry().open("my-db", table("")).await.unwrap_err().to_string();
    assert_eq!(missing, "run_log_store.my-db: missing field `connection_string`");
    let unreachable = registry().open("my-db", table("connection_string = 'nowhere'")).await.unwrap_err();
    assert_eq!(std::error::Error::source(&unreachable).unwrap().to_string(), "no route to host");
}

#[tokio::test]
async fn a_mock_connects_to_nothing_but_its_configuration_is_read() {
    let mock = |more: &str| table(&format!("mock = true\n{more}"));

    let stores = registry().open("my-db", mock("connection_string = 'nowhere'")).await.unwrap();

    assert_eq!(stores.run_logs.service_name(), "memory");
    assert!(registry().open("my-db", mock("")).await.is_err());
}

#[tokio::test]
async fn parallel_writes_can_be_lowered_and_never_raised() {
    let parallel = async |name: &str, config: &str| {
        registry().open(name, table(config)).await.unwrap().run_logs.supports_parallel_writes()
    };
    assert!(parallel("memory", "").await);
    assert!(!parallel("memory", "supports_parallel_writes = false").await);
    assert!(!parallel("my-db", "connection_string = 'x'\nsupports_parallel_writes = true").await);
}

#[tokio::test]
async fn lines_can_be_kept_in_csv_beside_any_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/log.csv");
    let config = format!("task_log_repo = {{ type = 'csv', path = '{}', record_model = 'RunRecord' }}", path.display());

    let Stores { task_log, .. } = open_store("memory", table(&config)).await.unwrap();
    let line = runnel::runs::TaskLogEvent::new("t", runnel::runs::Action::Run, runnel::runs::RunId::fresh());
    Arc::clone(&task_log).append(&[line]).await.unwrap();

    assert!(std::fs::read_to_string(path).unwrap().starts_with("run_id,task_name,action"));
    assert_eq!(task_log.summary().get("Model").unwrap(), "RunRecord");
}
