//! This program again, as another process that writes to a log.

use std::path::Path;
use std::process::{Command, Stdio};

use super::support::Process;
use super::*;
use runnel::runs::output::FileLogStore;

const ROLE: &str = "RUNNEL_OUTPUT_ROLE";
const FOLDER: &str = "RUNNEL_OUTPUT_FOLDER";
/// Where the server is that a worker needs.
pub const SERVER: &str = "RUNNEL_OUTPUT_SERVER";

pub fn command(role: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child::as_a_child", "--nocapture"]);
    command.env(ROLE, role).env(FOLDER, folder);
    command
}

/// Ends with its owner.
pub fn start(role: &str, folder: &Path) -> Process {
    Process::start(&command(role, folder), Stdio::null(), Stdio::inherit())
}

#[test]
#[ignore = "a part of other tests, in a process of its own"]
fn as_a_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let folder = std::env::var_os(FOLDER).unwrap();
    let store = FileLogStore::new(folder);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        match role.as_str() {
            "hold" => hold(&store).await,
            "dialogue" => dialogue(&store).await,
            "flood" => memory::flood(store).await,
            role if role.starts_with("worker ") => worker::work(role, &std::env::var(SERVER).unwrap(), store).await,
            other => panic!("there is no role {other}"),
        }
    });
}

/// Writes to run `held`, and goes on to run.
async fn hold(store: &FileLogStore) {
    let run = id("held");
    store.write_metadata(&run, &begun(&run)).await.unwrap();
    store.append(&run, Channel::Stdout, &["one", "two"]).await.unwrap();
    std::future::pending().await
}

/// Writes to run `dialogue` one line for each line of run `asked`, and ends with it.
async fn dialogue(store: &FileLogStore) {
    let (asked, run) = (id("asked"), id("dialogue"));
    store.write_metadata(&run, &begun(&run)).await.unwrap();
    let mut questions = store.stream(&asked, Channel::Stdout, StreamOptions::followed());
    while let Some(question) = questions.next().await {
        let answer = format!("answer to {}", question.unwrap().text);
        store.append(&run, Channel::Stdout, &[&answer]).await.unwrap();
    }
    store.write_metadata(&run, &ended(&run)).await.unwrap();
}
