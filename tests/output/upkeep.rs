//! What becomes of old logs.

use std::fs;

use super::*;
use runnel::runs::output::{FileLogStore, Upkeep};
use tempfile::TempDir;

const HOUR: u64 = 3_600_000;

/// So many hours after the runs of these tests have ended.
fn after(hours: u64) -> u64 {
    let end = ended(&id("any")).ended_at.unwrap();
    end.timestamp_millis() as u64 + hours * HOUR
}

fn never() -> Upkeep {
    Upkeep::new(0.0, 0.0, 0.0)
}

/// Two ended runs, the first older by an hour, and two that run: one that said so, and one that did not yet.
async fn four_runs() -> (TempDir, Arc<dyn LogStore>, FileLogStore) {
    let folder = TempDir::new().unwrap();
    let files = FileLogStore::new(folder.path());
    let store: Arc<dyn LogStore> = Arc::new(files.clone());
    let line = "the same again and again ".repeat(40);
    for run in ["old", "older", "running", "silent"].map(id) {
        store.append(&run, Channel::Stdout, &[line.as_str(); 100]).await.unwrap();
    }
    let older = RunMetadata { ended_at: Some("2026-11-22T01:00:00Z".parse().unwrap()), ..ended(&id("older")) };
    store.write_metadata(&id("older"), &older).await.unwrap();
    store.write_metadata(&id("old"), &ended(&id("old"))).await.unwrap();
    store.write_metadata(&id("running"), &begun(&id("running"))).await.unwrap();
    (folder, store, files)
}

#[tokio::test]
async fn compressed_logs_are_read_as_before_and_can_be_gone_on_with() {
    let (folder, store, files) = four_runs().await;
    let before = stdout(&files, &id("old")).await;
    let of_all = files.maintain(never(), after(1000)).await.unwrap().bytes;
    let compressing = Upkeep::new(24.0, 0.0, 0.0);
    assert_eq!(files.maintain(compressing, after(22)).await.unwrap().compressed, []);

    let report = files.maintain(compressing, after(24)).await.unwrap();

    assert_eq!(report.compressed, [id("older"), id("old")]);
    assert!(report.bytes < of_all * 6 / 10, "{report:?} of {of_all}");
    assert_eq!(report.bytes, files.maintain(compressing, after(24)).await.unwrap().bytes);
    let names: Vec<_> =
        fs::read_dir(folder.path().join("job_runs/old")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "stdout.log") && names.iter().any(|name| name == "stdout.log.gz"));
    assert_eq!(stdout(&files, &id("old")).await, before);
    let last = StreamOptions { since_line: 97, tail: Some(5), max_lines: Some(2), follow: true };
    let numbers: Vec<_> = numbered(files.stream(&id("old"), Channel::Stdout, last)).await;
    assert_eq!(numbers.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [97, 98]);

    written(&store, &id("old"), &["resumed"]).await;
    let gone_on = stdout(&files, &id("old")).await;
    assert_eq!((gone_on.len(), gone_on.last().unwrap().as_str()), (101, "resumed"));
}

#[tokio::test]
async fn expired_logs_are_removed() {
    let (_folder, _store, files) = four_runs().await;
    let week = Upkeep::new(0.0, 7.0, 0.0);
    assert_eq!(files.maintain(week, after(7 * 24 - 2)).await.unwrap().deleted, []);

    assert_eq!(files.maintain(week, after(7 * 24 - 1)).await.unwrap().deleted, [id("older")]);
    assert_eq!(files.maintain(week, after(7 * 24)).await.unwrap().deleted, [id("old")]);
}

#[tokio::test]
async fn the_oldest_go_first_when_there_is_too_much() {
    let (_folder, _store, files) = four_runs().await;
    let bytes = files.maintain(never(), after(0)).await.unwrap().bytes;
    let room_for = |bytes: u64| Upkeep { max_bytes: Some(bytes), ..never() };
    assert_eq!(files.maintain(room_for(bytes), after(0)).await.unwrap().deleted, []);

    let report = files.maintain(room_for(bytes - 1), after(0)).await.unwrap();

    assert_eq!(report.deleted, [id("older")]);
    assert!(report.bytes < bytes);
}

#[tokio::test]
async fn runs_that_did_not_end_are_never_touched() {
    let (_folder, _store, files) = four_runs().await;
    let greedy = Upkeep { max_bytes: Some(1), ..Upkeep::new(0.000_1, 0.000_1, 0.0) };

    let report = files.maintain(greedy, after(24 * 365)).await.unwrap();

    assert_eq!(report.deleted, [id("older"), id("old")]);
    for run in ["running", "silent"].map(id) {
        assert_eq!(stdout(&files, &run).await.len(), 100, "{run}");
    }
}

#[tokio::test]
async fn a_resumed_run_of_another_process_is_not_touched() {
    let folder = TempDir::new().unwrap();
    let files = FileLogStore::new(folder.path());
    let _child = child::start("hold", folder.path());
    let holds = async || {
        let all = files.list().await.unwrap();
        all.first().is_some_and(|log| log.metadata.is_some()) && !files.abandoned().await.unwrap().contains(&all[0])
    };
    support::eventually("the other process holds its log", holds).await;
    // As if its metadata were still those of the activation before.
    let ended = serde_json::to_vec(&ended(&id("held"))).unwrap();
    fs::write(folder.path().join("job_runs/held/metadata.json"), ended).unwrap();

    let report = files.maintain(Upkeep::new(1.0, 1.0, 0.000_000_001), after(24 * 365)).await.unwrap();

    assert_eq!((report.compressed, report.deleted), (vec![], vec![]));
}

#[tokio::test]
async fn nought_turns_each_part_off() {
    let (_folder, _store, files) = four_runs().await;

    let report = files.maintain(never(), after(24 * 365)).await.unwrap();

    assert_eq!((report.compressed, report.deleted), (vec![], vec![]));
    assert_eq!(Upkeep::new(24.0, 7.0, 10.0), Upkeep::default());
    assert_eq!(Upkeep::new(0.0, 0.0, 1.5).max_bytes, Some(3 << 29));
}
