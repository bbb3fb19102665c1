//! Writers in processes of their own: together, and killed.

use std::io::Read;

use runnel::runs::{NewRunLog, open_store};

use crate::support::Server;
use crate::{child, files, parallel, redis};

/// Kills a writer again and again, each time a little later in its work, and reads what it left.
async fn survives_kills(store: &str, config: toml::Table) {
    let run = "r".parse().unwrap();
    let open = async || open_store(store, config.clone()).await.unwrap().run_logs;
    open().await.create_run_log(NewRunLog::new("r".parse().unwrap(), "load")).await.unwrap();
    let mut before = 0;

    for round in 0..20u64 {
        let mut writer = child::start("write-for-ever", store, &config);
        let mut written = writer.stdout.take().unwrap();
        let mut dots = 0;
        let mut byte = [0];
        while dots <= round % 3 {
            written.read_exact(&mut byte).unwrap();
            dots += u64::from(byte[0] == b'.');
        }
        // Where exactly the kill hits is left to chance: a few microseconds of work more each round.
        for _ in 0..round * 3_000 {
            std::hint::spin_loop();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();

        let log = open().await.get(&run).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(log.parameters.len() + log.steps.len() >= before, "round {round}: what was there is gone");
        assert!(log.parameters.contains_key("text"));
        before = log.parameters.len() + log.steps.len();
    }
}

async fn lose_nothing_together(store: &str, config: toml::Table) {
    let opened = open_store(store, config.clone()).await.unwrap().run_logs;
    opened.create_run_log(NewRunLog::new("r".parse().unwrap(), "load")).await.unwrap();

    let mut writers = ["a", "b"].map(|name| child::start(name, store, &config));
    for writer in &mut writers {
        assert!(writer.wait().unwrap().success());
    }

    parallel::check(&opened, "r", 128).await;
}

#[tokio::test]
async fn a_killed_writer_leaves_a_readable_document_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    survives_kills("file-system", files::config(&folder)).await;
}

#[tokio::test]
async fn a_killed_writer_leaves_readable_documents_in_chunks() {
    let folder = tempfile::tempdir().unwrap();
    survives_kills("chunked-fs", files::config(&folder)).await;
}

#[tokio::test]
async fn a_killed_writer_leaves_readable_documents_on_redis() {
    let server = Server::redis();
    survives_kills("redis", redis::config(&server.url())).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_killed_writer_leaves_readable_documents_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    survives_kills("sqlite", crate::sqlite::config(&folder)).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_killed_writer_leaves_readable_documents_in_postgres() {
    survives_kills("postgres", crate::postgres::config()).await;
}

#[tokio::test]
async fn two_processes_with_64_writers_each_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    lose_nothing_together("chunked-fs", files::config(&folder)).await;
}

#[tokio::test]
async fn two_processes_with_64_writers_each_lose_nothing_on_redis() {
    let server = Server::redis();
    lose_nothing_together("redis", redis::config(&server.url())).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn two_processes_with_64_writers_each_lose_nothing_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    lose_nothing_together("sqlite", crate::sqlite::config(&folder)).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn two_processes_with_64_writers_each_lose_nothing_in_postgres() {
    lose_nothing_together("postgres", crate::postgres::config()).await;
}

#[cfg(feature = "object-store")]
mod moto {
    use super::*;
    use crate::object::{config, place};

    #[tokio::test]
    async fn a_killed_writer_leaves_readable_documents_in_a_bucket() {
        survives_kills("object-store", config(&place())).await;
    }

    #[tokio::test]
    async fn two_processes_with_64_writers_each_lose_nothing_in_a_bucket() {
        lose_nothing_together("object-store", config(&place())).await;
    }
}
