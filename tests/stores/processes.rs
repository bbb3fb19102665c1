//! Writers in processes of their own: together, and killed.

use std::io::Read;

use runnel::runs::{NewRunLog, Parameter, open_store};
use serde_json::Value;

use crate::support::Server;
use crate::{child, files, parallel, redis};

/// Kills a writer again and again, each time a little later in its work, and reads what it left: all that it has said to
/// be written, and of what came after that all or nothing.
async fn survives_kills(store: &str, config: toml::Table) {
    let run = "r".parse().unwrap();
    let open = async || open_store(store, config.clone()).await.unwrap().run_logs;
    open().await.create_run_log(NewRunLog::new("r".parse().unwrap(), "load")).await.unwrap();
    let mut next = 0;

    for round in 0..20usize {
        let mut writer = child::start_writing(next, store, &config);
        let mut said = writer.stdout();
        let mut written = 0;
        let mut byte = [0];
        while written <= round % 3 {
            said.read_exact(&mut byte).unwrap();
            written += usize::from(byte[0] == child::WRITTEN);
        }
        // Where exactly the kill hits is left to chance: a few microseconds of work more each round.
        for _ in 0..round * 3_000 {
            std::hint::spin_loop();
        }
        writer.kill();

        let log = open().await.get(&run).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        let Parameter::Json(Value::String(text)) = &log.parameters["text"] else { panic!("{:?}", log.parameters) };
        let last: usize = text.split(' ').next().unwrap().parse().unwrap();
        assert!(last + 1 >= next + written, "round {round}: of {written} writes from {next} on, the last is {last}");
        assert!(*text == child::text(last), "round {round}: half of a text was kept");
        for number in last.saturating_sub(19)..next + written {
            let (parameter, step) = child::names(number);
            assert_eq!(log.parameters[&parameter], Parameter::from(number), "round {round}");
            assert!(log.steps.contains_key(&step), "round {round}: {step} is gone");
        }
        // What was not said to be written is written again.
        next += written;
    }
}

async fn lose_nothing_together(store: &str, config: toml::Table) {
    let opened = open_store(store, config.clone()).await.unwrap().run_logs;
    opened.create_run_log(NewRunLog::new("r".parse().unwrap(), "load")).await.unwrap();

    let mut writers = ["a", "b"].map(|name| child::start(name, store, &config));
    for writer in &mut writers {
        assert!(writer.wait().success());
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
