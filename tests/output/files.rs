//! Logs in files, beside other processes and other people.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use runnel::runs::output::{FileLogStore, RunEnd, RunOutput, Upkeep};
use tempfile::TempDir;

fn store() -> (TempDir, FileLogStore) {
    let folder = TempDir::new().unwrap();
    let store = FileLogStore::new(folder.path());
    (folder, store)
}

#[tokio::test]
async fn lines_of_another_process_are_read_while_it_runs() {
    let (folder, store) = store();
    let asked = id("asked");
    store.append_stdout(&asked, "0").await.unwrap();
    let _child = child::start("dialogue", folder.path());
    let mut answers = followed_when_there(&store, &id("dialogue")).await;

    for round in 1..5 {
        assert_eq!(soon(answers.next()).await.unwrap().unwrap().text, format!("answer to {}", round - 1));
        store.append_stdout(&asked, &round.to_string()).await.unwrap();
    }
    store.write_metadata(&asked, &ended(&asked)).await.unwrap();

    assert_eq!(numbered(answers).await, [(4, "answer to 4".to_owned())]);
}

#[tokio::test]
async fn what_a_killed_process_wrote_is_there_and_the_log_goes_on() {
    let (folder, store) = store();
    let run = id("held");
    let mut child = child::start("hold", folder.path());
    let mut lines = followed_when_there(&store, &run).await;
    soon(lines.next()).await.unwrap().unwrap();
    assert_eq!(store.abandoned().await.unwrap(), []);

    child.kill();
    assert_eq!(store.abandoned().await.unwrap().len(), 1);
    assert_eq!(stdout(&store, &run).await, ["one", "two"]);
    // As if it had been killed within another line.
    let file = folder.path().join("job_runs/held/stdout.log");
    fs::write(&file, "one\ntwo\nhal").unwrap();
    assert_eq!(stdout(&store, &run).await, ["one", "two"]);

    store.append_stdout(&run, "three").await.unwrap();
    store.write_metadata(&run, &begun(&run).ended(Status::Crashed, begun(&run).started_at)).await.unwrap();

    assert_eq!(stdout(&store, &run).await, ["one", "two", "hal", "three"]);
    assert_eq!(store.abandoned().await.unwrap(), []);
}

#[tokio::test]
async fn a_last_line_without_its_break_is_delivered_when_the_run_has_ended() {
    let (folder, store) = store();
    let run = id("r");
    store.append_stdout(&run, "whole").await.unwrap();
    fs::write(folder.path().join("job_runs/r/stdout.log"), b"whole\r\nhalf \xff").unwrap();
    let mut followed = store.stream(&run, Channel::Stdout, StreamOptions::followed());
    assert_eq!(stdout(&store, &run).await, ["whole"]);
    assert_eq!(soon(followed.next()).await.unwrap().unwrap().text, "whole");

    store.write_metadata(&run, &ended(&run)).await.unwrap();

    assert_eq!(numbered(followed).await, [(1, "half \u{fffd}".to_owned())]);
    assert_eq!(texts(&store, &run, Channel::Stdout, StreamOptions::last(1)).await, ["half \u{fffd}"]);
}

#[tokio::test]
async fn the_last_lines_of_a_large_log_have_their_numbers() {
    let (_folder, store) = store();
    let run = id("r");
    let lines: Vec<String> = (0..400_000).map(|n| format!("line {n}")).collect();
    for chunk in lines.chunks(50_000) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        store.append(&run, Channel::Stdout, &chunk).await.unwrap();
    }

    for tail in [1, 1000, 123_456] {
        let found = numbered(store.stream(&run, Channel::Stdout, StreamOptions::last(tail))).await;
        assert_eq!(found.len(), tail);
        let alike = |(number, text): &(usize, String)| *text == format!("line {number}");
        assert!(found.iter().all(alike) && found.last().unwrap().0 == 399_999, "tail {tail}");
    }
}

#[tokio::test]
async fn logs_are_for_their_owner_alone() {
    let (folder, store) = store();
    let run = id("r");
    store.append_stdout(&run, "secret").await.unwrap();
    store.append_stderr(&run, "secret").await.unwrap();
    store.write_metadata(&run, &ended(&run)).await.unwrap();

    for entry in fs::read_dir(folder.path().join("job_runs/r")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    for name in ["job_runs", "job_runs/r"] {
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[tokio::test]
async fn links_and_pipes_in_the_folder_are_refused() {
    let (folder, store) = store();
    let elsewhere = TempDir::new().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "untouched\n").unwrap();
    let runs = folder.path().join("job_runs");
    for run in ["file", "meta", "pipe"] {
        fs::create_dir_all(runs.join(run)).unwrap();
    }
    symlink(&victim, runs.join("file/stdout.log")).unwrap();
    symlink(&victim, runs.join("meta/metadata.json")).unwrap();
    symlink(elsewhere.path(), runs.join("folder")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(runs.join("pipe/stdout.log")).status().unwrap().success());

    for run in ["file", "folder", "pipe"].map(id) {
        let written = store.append_stdout(&run, "x").await;
        assert!(matches!(written, Err(LogError::Refused { .. })), "{run}: {written:?}");
        let read: Vec<_> = soon(store.stream_stdout(&run, StreamOptions::default()).collect::<Vec<_>>()).await;
        assert!(matches!(read[..], [Err(LogError::Refused { .. })]), "{run}: {read:?}");
    }
    let metadata = store.read_metadata(&id("meta")).await;
    assert!(matches!(metadata, Err(LogError::Refused { .. })), "{metadata:?}");
    // Writing replaces the link, not what it leads to.
    store.write_metadata(&id("meta"), &ended(&id("meta"))).await.unwrap();

    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched\n");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn no_path_is_a_run() {
    for path in ["../escape", "/etc/passwd", "a/../../b", ".", "..", ""] {
        assert!(path.parse::<RunId>().is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_link_in_place_of_all_runs_is_refused() {
    let (folder, store) = store();
    let elsewhere = TempDir::new().unwrap();
    symlink(elsewhere.path(), folder.path().join("job_runs")).unwrap();

    let written = store.append_stdout(&id("r"), "x").await;

    assert!(matches!(written, Err(LogError::Refused { .. })), "{written:?}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_reader_never_sees_half_of_the_metadata() {
    let (_folder, store) = store();
    let run = id("r");
    store.write_metadata(&run, &begun(&run)).await.unwrap();
    let reader = {
        let (store, run) = (store.clone(), run.clone());
        async move { while !store.read_metadata(&run).await.unwrap().unwrap().has_ended() {} }
    };
    let writer = async {
        for round in 0..200 {
            let error = Some("x".repeat(round * 100));
            store.write_metadata(&run, &RunMetadata { error, ..begun(&run) }).await.unwrap();
        }
        store.write_metadata(&run, &ended(&run)).await.unwrap();
    };

    soon(futures::future::join(reader, writer)).await;
}

#[tokio::test]
async fn the_log_of_a_run_holds_what_it_printed_and_counts_it() {
    let (folder, store) = store();
    let store: Arc<dyn LogStore> = Arc::new(store);
    let output = RunOutput::begin(store.clone(), id("r"), "report", 2);
    output.stdout("a\nb").await.unwrap();
    output.stderr("c").await.unwrap();

    let sealed = output.seal(RunEnd::new(Status::Fail).exit_code(Some(4)).error("broken")).await.unwrap();

    assert_eq!((sealed.stdout_lines, sealed.stderr_lines, sealed.dropped_lines), (2, 1, 0));
    assert_eq!((sealed.exit_code, sealed.error.as_deref(), sealed.attempt), (Some(4), Some("broken"), 2));
    assert_eq!(store.read_metadata(&id("r")).await.unwrap(), Some(sealed));
    let file = fs::metadata(folder.path().join("job_runs/r/stdout.log")).unwrap();
    assert_eq!(file.size(), 4);
    assert!(output.stdout("late").await.is_err());
    assert!(!output.offer(Channel::Stdout, "late"));
    assert!(output.seal(RunEnd::new(Status::Success)).await.is_err());
}

#[tokio::test]
async fn a_run_that_is_dropped_without_its_end_is_abandoned() {
    let (_folder, files) = store();
    let store: Arc<dyn LogStore> = Arc::new(files.clone());
    let output = RunOutput::begin(store.clone(), id("r"), "report", 1);
    output.stdout("x").await.unwrap();
    let _lines = followed_when_there(&*store, &id("r")).await;
    assert_eq!(files.abandoned().await.unwrap(), []);

    drop(output);

    support::eventually("it is abandoned", async || files.abandoned().await.unwrap().len() == 1).await;
}

#[tokio::test]
async fn the_log_that_a_crash_has_left_says_how_many_lines_it_has_also_when_it_goes_on() {
    let (folder, files) = store();
    let mut child = child::start("hold", folder.path());
    let lines = followed_when_there(&files, &id("held")).await;
    assert_eq!(numbered(lines.take(2).boxed()).await.len(), 2);
    child.kill();
    let counted = async |run: &RunId| {
        let kept = files.read_metadata(run).await.unwrap().unwrap();
        (kept.status, kept.stdout_lines, kept.stderr_lines)
    };

    // Resumed before anybody has closed it.
    let resumed = RunOutput::begin(Arc::new(files.clone()), id("held"), "report", 2);
    resumed.stdout("three").await.unwrap();
    resumed.seal(RunEnd::new(Status::Success)).await.unwrap();
    assert_eq!(counted(&id("held")).await, (Status::Success, 3, 0));

    // And one that nobody resumes.
    files.write_metadata(&id("left"), &begun(&id("left"))).await.unwrap();
    files.append(&id("left"), Channel::Stderr, &["one"]).await.unwrap();
    files.release(&id("left"));
    files.tend(Upkeep::default(), runnel::clock::wall()).await.unwrap();
    assert_eq!(counted(&id("left")).await, (Status::Crashed, 0, 1));
}
