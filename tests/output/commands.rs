//! What child processes print belongs to their run.

use std::sync::Mutex;

use super::*;
use runnel::runs::output::{CommandError, MemoryLogStore, RunCommand, RunEnd, RunOutput};
use rustix::process::{Pid, test_kill_process};

fn begin() -> (Arc<dyn LogStore>, RunOutput) {
    let store: Arc<dyn LogStore> = Arc::new(MemoryLogStore::default());
    let output = RunOutput::begin(store.clone(), id("r"), "etl", 1);
    (store, output)
}

fn shell(output: &RunOutput, script: &str) -> RunCommand {
    RunCommand::new(output.clone(), "sh").args(["-c", script])
}

async fn sealed(output: &RunOutput) -> RunMetadata {
    soon(output.seal(RunEnd::new(Status::Fail))).await.unwrap()
}

#[tokio::test]
async fn lines_and_exit_code_of_a_child_belong_to_its_run() {
    let (store, output) = begin();
    let script = r#"echo "$GREETING"; echo no >&2; pwd; printf 'a\r\n\377 end'; exit 3"#;

    let command = shell(&output, script).env("GREETING", "hello").current_dir("/");
    let report = soon(command.run()).await.unwrap();

    assert_eq!((report.code, report.signal, report.succeeded()), (Some(3), None, false));
    assert_eq!(report.to_string(), "`sh` ended with exit code 3");
    assert!(matches!(report.checked(), Err(CommandError::Failed { .. })));
    assert_eq!(sealed(&output).await.exit_code, Some(3));
    assert_eq!(stdout(&*store, &id("r")).await, ["hello", "/", "a", "\u{fffd} end"]);
    assert_eq!(stderr(&*store, &id("r")).await, ["no"]);
}

#[tokio::test]
async fn nothing_of_much_output_is_lost() {
    let (store, output) = begin();

    soon(shell(&output, "seq 1 100000; seq 1 1000 >&2").run()).await.unwrap();

    let metadata = sealed(&output).await;
    assert_eq!((metadata.stdout_lines, metadata.stderr_lines, metadata.dropped_lines), (100_000, 1000, 0));
    let lines = stdout(&*store, &id("r")).await;
    assert!(lines.iter().enumerate().all(|(at, line)| *line == (at + 1).to_string()));
}

#[tokio::test]
async fn special_lines_are_shown_as_they_come_and_kept() {
    let (store, output) = begin();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = seen.clone();

    let command = shell(&output, "echo PROGRESS:1; echo other; echo PROGRESS:2")
        .on_line("PROGRESS:", move |rest| keep.lock().unwrap().push(rest.to_owned()));
    soon(command.run()).await.unwrap();
    sealed(&output).await;

    assert_eq!(*seen.lock().unwrap(), ["1", "2"]);
    assert_eq!(stdout(&*store, &id("r")).await, ["PROGRESS:1", "other", "PROGRESS:2"]);
}

#[tokio::test]
async fn a_child_that_is_ended_by_a_signal_says_so_and_one_that_is_not_there_too() {
    let (_store, output) = begin();

    let report = soon(shell(&output, "kill -9 $$").run()).await.unwrap();
    let missing = soon(RunCommand::new(output.clone(), "/no/such/program").run()).await;

    assert_eq!((report.code, report.signal), (None, Some(9)));
    assert_eq!(report.to_string(), "`sh` was ended by signal 9");
    assert!(matches!(missing, Err(CommandError::Start { .. })), "{missing:?}");
    assert_eq!(sealed(&output).await.exit_code, None);
}

/// The id that a child printed.
fn pid(line: &str) -> Pid {
    Pid::from_raw(line.parse().unwrap()).unwrap()
}

/// A process that was killed, and reaped by whoever adopted it or not yet.
fn is_dead(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

#[tokio::test]
async fn who_drops_the_future_kills_the_child_and_its_children() {
    let (store, output) = begin();
    let command = shell(&output, "echo $$; sleep 1000 & echo $!; wait");
    let watched = async {
        let mut lines = followed_when_there(&*store, &id("r")).await.skip(1);
        pid(&lines.next().await.unwrap().unwrap().text)
    };

    let child = tokio::select! {
        report = command.run() => panic!("it ended: {report:?}"),
        child = soon(watched) => child,
    };

    support::eventually("the child of the child is dead", async || is_dead(child)).await;
}

#[tokio::test]
async fn a_child_that_leaves_another_behind_does_not_hold_up_its_run() {
    let (store, output) = begin();

    let report = soon(shell(&output, "sleep 1000 & echo $!").run()).await.unwrap();

    assert!(report.succeeded());
    sealed(&output).await;
    let left = pid(&stdout(&*store, &id("r")).await[0]);
    support::eventually("what was left behind is dead", async || is_dead(left)).await;
}
