//! Stores in folders.

use std::sync::Arc;

use runnel::runs::stores::{ChunkedFs, CsvRepo, FileSystem};
use runnel::runs::{Stores, open_store};
use tempfile::TempDir;

pub fn config(of: &TempDir) -> toml::Table {
    toml::Table::from_iter([("log_folder".to_owned(), of.path().to_str().unwrap().into())])
}

async fn opened(name: &str) -> (Stores, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open_store(name, config(&folder)).await.unwrap(), folder)
}

mod whole {
    use super::*;

    fn open() -> (Arc<FileSystem>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(FileSystem::open(folder.path()).unwrap().retention(crate::documents::KEPT)), folder)
    }

    crate::all_of_documents!(open());
    crate::suite! { open(), parallel: readers_see_whole_documents }
}

mod chunked {
    use super::*;

    fn open() -> (Arc<ChunkedFs>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(ChunkedFs::open(folder.path()).unwrap().retention(crate::documents::KEPT)), folder)
    }

    crate::all_of_documents!(open());
    crate::suite! { open(), parallel: writers_of_one_run_lose_nothing readers_see_whole_documents }
}

/// The stores as they are configured: with their cache, batches and retention.
mod configured_chunked {
    crate::all_of_documents!({
        let (stores, folder) = super::opened("chunked-fs").await;
        (stores.run_logs, folder)
    });
    crate::all_of_lines!({
        let (stores, folder) = super::opened("chunked-fs").await;
        (stores.task_log, folder)
    });
}

mod csv {
    use super::*;

    crate::all_of_lines!({
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(CsvRepo::open(folder.path().join("log.csv")).unwrap()), folder)
    });
}

mod damage {
    use std::fs;

    use runnel::runs::{
        Action, MinimalRecord, NewRunLog, RecordModel, RunId, RunLogQuery, RunLogStore, StoreError, TaskLogEvent,
        TaskLogQuery, TaskLogRepo,
    };

    use super::*;

    #[tokio::test]
    async fn a_broken_document_is_named_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileSystem::open(folder.path()).unwrap();
        for run in ["good", "bad"] {
            store.create_run_log(NewRunLog::new(run.parse().unwrap(), "t")).await.unwrap();
        }
        fs::write(folder.path().join("bad.json"), "{\"run_id\":").unwrap();
        fs::write(folder.path().join("notes.txt"), "not ours").unwrap();

        let error = store.get(&"bad".parse().unwrap()).await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { location, .. } if location.ends_with("bad.json")), "{error}");
        let page = store.get_run_logs(&RunLogQuery::new()).await.unwrap();
        assert_eq!(page.items.len(), 1);
    }

    #[tokio::test]
    async fn half_a_line_is_cut_off_and_a_damaged_one_hides_no_other() {
        let (stores, folder) = opened("file-system").await;
        let line = || TaskLogEvent::new("t", Action::Run, RunId::fresh());
        let lines = [line(), line(), line()];
        stores.task_log.append(&lines[..1]).await.unwrap();
        let path = folder.path().join("_events/t.jsonl");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{damaged}\n{\"task_name\":\"t\",\"act");
        fs::write(&path, text).unwrap();

        // Another process, which has seen none of it.
        let other = open_store("file-system", config(&folder)).await.unwrap();
        other.task_log.append(&lines).await.unwrap();

        assert_eq!(other.task_log.query(&TaskLogQuery::new()).await.unwrap(), lines);
        assert!(fs::read_to_string(&path).unwrap().contains("{damaged}\n"), "what is damaged stays for whoever looks");
    }

    #[tokio::test]
    async fn what_csv_does_not_keep_cannot_be_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let repo = CsvRepo::with_model(&path, MinimalRecord::NAME).unwrap();
        let line = TaskLogEvent { created: 1.5, ..TaskLogEvent::new("t", Action::Run, RunId::fresh()) };
        repo.append(std::slice::from_ref(&line)).await.unwrap();

        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("task_name,action,created,event_id\nt,run,1.5,{}\n", line.event_id));
        assert_eq!(repo.query(&runnel::filter!(action = Run)).await.unwrap()[0].created, 1.5);
        let problem = repo.query(&runnel::filter!(host = "h")).await.unwrap_err().to_string();
        assert!(problem.contains("keep no `host`"), "{problem}");
        let problem = CsvRepo::open(&path).err().unwrap().to_string();
        assert!(problem.contains("has other columns"), "{problem}");
        let problem = CsvRepo::with_model(&path, "MinimalRecrd").err().unwrap().to_string();
        assert!(problem.contains("did you mean `MinimalRecord`?"), "{problem}");
    }

    #[cfg(feature = "gzip")]
    #[tokio::test]
    async fn a_large_document_is_read_also_where_compression_is_off() {
        let folder = tempfile::tempdir().unwrap();
        let packing = ChunkedFs::open(folder.path()).unwrap().compression(true);
        let log = packing.create_run_log(NewRunLog::new("r".parse().unwrap(), "t")).await.unwrap();
        let long = [("text".to_owned(), "again ".repeat(400_000).into())].into();
        packing.set_parameters(&log.run_id, long, None).await.unwrap();

        let size = fs::metadata(folder.path().join("r/Parameters.json")).unwrap().len();
        assert!(size < 100_000, "{size}");
        let plain = ChunkedFs::open(folder.path()).unwrap();
        assert_eq!(plain.get(&log.run_id).await.unwrap(), packing.get(&log.run_id).await.unwrap());
    }
}
