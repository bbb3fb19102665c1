//! What `runnel.toml` says of a job is looked at before a worker starts, and not when the job is run.

use std::process::Command;

use runnel::prelude::*;

/// Set in the process that is the worker.
const TOLD: &str = "RUNNEL_RUNNER_TOLD";

/// Not a test of its own: it is what the test below starts where a file lies.
#[tokio::test]
async fn works_where_it_is_told_to() {
    if std::env::var_os(TOLD).is_none() {
        return;
    }
    let mut app = App::bare("shop").redis("memory://");
    app.on_demand(async || {}).name("ingest");
    let worked = async { app.connect().await?.work_until(async {}).await }.await;
    println!("told {:?}", worked.map_err(|failure| failure.to_string()));
}

fn told(file: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("runnel.toml"), file).unwrap();
    let mut worker = Command::new(std::env::current_exe().unwrap());
    worker.args(["--exact", "configured::works_where_it_is_told_to", "--nocapture"]);
    let ended = worker.current_dir(folder.path()).env(TOLD, "1").output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    said.lines().find(|line| line.starts_with("told ")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn a_worker_does_not_start_where_its_file_says_of_a_job_what_cannot_work() {
    for (said, why) in [
        ("retry_policy = { type = \"fixed\", max_attempts = 0 }", "job `ingest`"),
        ("retry_policy = { type = \"fixed\", max_attempts = 0 }", "max_attempts = 0"),
        ("retry_polcy = { type = \"none\" }", "unknown field `retry_polcy`"),
        ("store_trace_info = \"elsewhere\"", "no store of traces named `elsewhere`"),
    ] {
        let told = told(&format!("[job.ingest]\n{said}\n"));
        assert!(told.starts_with("told Err") && told.contains(why), "{said}: {told}");
    }
    assert_eq!(told("[job.ingest]\nretry_policy = { type = \"fixed\", max_attempts = 2 }\n"), "told Ok(())");
}
