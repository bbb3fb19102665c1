//! Logs that outlive their worker.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use async_trait::async_trait;
use runnel::runs::output::{
    Content, Destination, FileLogStore, FolderDestination, LogStore, MemoryLogStore, RunEnd, RunOutput,
    ShippingLogStore,
};
use tempfile::TempDir;

/// A folder that fails some times, and notes what was done.
struct Watched {
    folder: FolderDestination,
    failures: AtomicUsize,
    done: Mutex<Vec<String>>,
    /// Whether it answers nothing that is asked.
    is_silent: AtomicBool,
}

#[async_trait]
impl Destination for Watched {
    async fn put(&self, name: &str, content: Content) -> runnel::Result {
        let left = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
            return Err("not now".into());
        }
        self.done.lock().unwrap().push(format!("put {name}"));
        self.folder.put(name, content).await
    }
    async fn get(&self, name: &str) -> runnel::Result<Option<Content>> {
        if self.is_silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.folder.get(name).await
    }
    async fn list(&self, prefix: &str) -> runnel::Result<Vec<String>> {
        self.folder.list(prefix).await
    }
    async fn delete(&self, name: &str) -> runnel::Result<bool> {
        self.done.lock().unwrap().push(format!("delete {name}"));
        self.folder.delete(name).await
    }
}

struct Shop {
    folder: TempDir,
    local: Arc<dyn LogStore>,
    there: Arc<Watched>,
    store: Arc<dyn LogStore>,
    shipping: Arc<ShippingLogStore>,
}

fn shop(keep_local: bool, failures: usize) -> Shop {
    let folder = TempDir::new().unwrap();
    let local: Arc<dyn LogStore> = Arc::new(FileLogStore::new(folder.path().join("here")));
    let there = Arc::new(Watched {
        folder: FolderDestination::new(folder.path().join("there")),
        failures: failures.into(),
        done: Mutex::default(),
        is_silent: AtomicBool::new(false),
    });
    let shipping = Arc::new(ShippingLogStore::new(local.clone(), there.clone(), keep_local));
    Shop { folder, local, there, store: shipping.clone(), shipping }
}

#[tokio::test]
async fn metadata_are_copied_last_and_a_copy_is_made_once() {
    let shop = shop(true, 0);
    let run = id("r");
    shop.store.append_stdout(&run, "x").await.unwrap();
    shop.store.flush().await.unwrap();
    assert!(shop.there.done.lock().unwrap().is_empty());

    shop.store.write_metadata(&run, &ended(&run)).await.unwrap();
    shop.store.flush().await.unwrap();
    shop.shipping.ship_all().await.unwrap();
    shop.store.flush().await.unwrap();

    let done = shop.there.done.lock().unwrap().clone();
    assert_eq!(done, ["put r/stdout.log.gz", "put r/stderr.log.gz", "put r/metadata.json"]);
    assert_eq!(stdout(&*shop.local, &run).await, ["x"]);
}

#[tokio::test]
async fn a_destination_that_fails_is_tried_again_and_the_log_stays_until_then() {
    let shop = shop(false, 1);
    let run = id("r");
    written(&shop.store, &run, &["a", "b"]).await;

    shop.store.flush().await.unwrap();

    assert!(shop.local.list().await.unwrap().is_empty());
    let options = StreamOptions { tail: Some(1), ..StreamOptions::followed() };
    assert_eq!(numbered(shop.store.stream_stdout(&run, options)).await, [(1, "b".to_owned())]);
    assert_eq!(shop.store.list().await.unwrap()[0].metadata, Some(ended(&run)));
}

#[tokio::test]
async fn a_copy_without_its_metadata_is_none() {
    let shop = shop(false, 0);
    let run = id("r");
    written(&shop.store, &run, &["a"]).await;
    shop.store.flush().await.unwrap();

    assert!(shop.there.folder.delete("r/metadata.json").await.unwrap());

    assert_eq!(shop.store.read_metadata(&run).await.unwrap(), None);
    let all: Vec<_> = shop.store.stream_stdout(&run, StreamOptions::default()).collect().await;
    assert!(matches!(all[..], [Err(runnel::runs::output::LogError::NotFound { .. })]), "{all:?}");
}

#[tokio::test]
async fn a_new_worker_ships_what_the_one_before_could_not() {
    let shop = shop(false, 0);
    for run in ["one", "two"].map(id) {
        written(&shop.local, &run, &["x"]).await;
    }
    shop.local.append_stdout(&id("running"), "x").await.unwrap();

    shop.shipping.ship_all().await.unwrap();
    shop.store.flush().await.unwrap();

    let left: Vec<_> = shop.local.list().await.unwrap().into_iter().map(|log| log.run_id).collect();
    assert_eq!(left, [id("running")]);
    let another = ShippingLogStore::new(Arc::new(MemoryLogStore::default()), shop.there.clone(), true);
    assert_eq!(stdout(&another, &id("two")).await, ["x"]);
}

#[tokio::test]
async fn who_follows_a_log_that_is_moved_away_sees_each_line_once() {
    let shop = shop(false, 0);
    let run = id("r");
    let many: Vec<String> = (0..20_000).map(|line| line.to_string()).collect();
    let lines: Vec<&str> = many.iter().map(String::as_str).collect();
    shop.store.append(&run, Channel::Stdout, &lines[..10]).await.unwrap();
    let mut followed = shop.store.stream_stdout(&run, StreamOptions::followed());
    let mut seen = vec![soon(followed.next()).await.unwrap().unwrap().text];

    written(&shop.store, &run, &lines[10..]).await;
    shop.store.flush().await.unwrap();
    assert!(shop.local.list().await.unwrap().is_empty());
    seen.extend(numbered(followed).await.into_iter().map(|(_, text)| text));

    assert_eq!(seen, many);
}

#[tokio::test]
async fn a_damaged_copy_is_an_error_and_no_shorter_log() {
    let shop = shop(false, 0);
    let run = id("r");
    let many: Vec<String> = (0..10_000).map(|line| format!("{line:x}{:x}", line * 7919)).collect();
    written(&shop.store, &run, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    shop.store.flush().await.unwrap();
    let copy = shop.folder.path().join("there/r/stdout.log.gz");
    let bytes = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();

    let all: Vec<_> = shop.store.stream_stdout(&run, StreamOptions::default()).collect().await;

    assert!(all.last().unwrap().is_err());
}

#[tokio::test]
async fn a_folder_takes_no_names_that_lead_out_of_it() {
    let folder = TempDir::new().unwrap();
    let there = FolderDestination::new(folder.path().join("there"));
    for name in ["../out", "/etc/out", "a/../../out", ""] {
        assert!(there.put(name, futures::stream::empty().boxed()).await.is_err(), "{name}");
        assert!(there.get(name).await.is_err(), "{name}");
    }
    assert!(!folder.path().join("out").exists());
}

/// A run that ended here, was copied, and was resumed and ended on another machine, which ships to the same place.
async fn resumed_elsewhere(here: &Shop, run: &RunId) -> RunMetadata {
    written(&here.store, run, &["first"]).await;
    here.store.flush().await.unwrap();
    let there: Arc<dyn LogStore> = Arc::new(MemoryLogStore::default());
    let other: Arc<dyn LogStore> = Arc::new(ShippingLogStore::new(there, here.there.clone(), true));
    let resumed = RunMetadata { activation: 2, attempt: 2, ..begun(run) };
    other.write_metadata(run, &resumed).await.unwrap();
    other.append_stdout(run, "second").await.unwrap();
    let end = resumed.ended(Status::Success, "2026-11-22T02:00:09Z".parse().unwrap());
    other.write_metadata(run, &end).await.unwrap();
    other.flush().await.unwrap();
    end
}

#[tokio::test]
async fn what_is_left_of_a_run_that_was_resumed_elsewhere_does_not_cover_the_newer_copy() {
    let shop = shop(true, 0);
    let run = id("r");
    let end = resumed_elsewhere(&shop, &run).await;

    shop.shipping.ship_all().await.unwrap();
    shop.store.flush().await.unwrap();

    let another = ShippingLogStore::new(Arc::new(MemoryLogStore::default()), shop.there.clone(), true);
    assert_eq!(stdout(&another, &run).await, ["first", "second"]);
    assert_eq!(another.read_metadata(&run).await.unwrap(), Some(end));
}

#[tokio::test]
async fn a_run_that_was_resumed_elsewhere_is_read_from_its_copy_and_goes_on_there() {
    let shop = shop(true, 0);
    let run = id("r");
    let end = resumed_elsewhere(&shop, &run).await;

    assert_eq!(stdout(&*shop.store, &run).await, ["first", "second"]);
    assert_eq!(shop.store.read_metadata(&run).await.unwrap(), Some(end));

    // A process that begins to write to it, with what is here already.
    let again: Arc<dyn LogStore> = Arc::new(ShippingLogStore::new(shop.local.clone(), shop.there.clone(), true));
    let resumed = RunMetadata { activation: 3, attempt: 3, ..begun(&run) };
    again.write_metadata(&run, &resumed).await.unwrap();
    again.append_stdout(&run, "third").await.unwrap();

    assert_eq!(stdout(&*again, &run).await, ["first", "second", "third"]);
}

#[tokio::test]
async fn what_is_here_is_read_though_the_destination_does_not_answer() {
    let shop = shop(true, 0);
    let run = id("r");
    written(&shop.store, &run, &["a"]).await;
    shop.store.flush().await.unwrap();

    shop.there.is_silent.store(true, Ordering::Relaxed);

    assert_eq!(stdout(&*shop.store, &run).await, ["a"]);
    assert_eq!(soon(shop.store.read_metadata(&run)).await.unwrap(), Some(ended(&run)));
}

#[tokio::test]
async fn a_new_run_is_kept_here_though_the_destination_does_not_answer() {
    let shop = shop(true, 0);
    shop.there.is_silent.store(true, Ordering::Relaxed);
    let output = RunOutput::begin(shop.store.clone(), id("r"), "report", 1);

    output.stdout("a").await.unwrap();
    let sealed = soon(output.seal(RunEnd::new(Status::Success))).await.unwrap();

    assert_eq!((sealed.stdout_lines, sealed.dropped_lines), (1, 0));
    assert_eq!(stdout(&*shop.local, &id("r")).await, ["a"]);
}
