//! What every store promises.

use super::*;
use runnel::runs::output::{
    BufferedLogStore, CompositeLogStore, FileLogStore, FolderDestination, LogLine, MemoryLogStore, ShippingLogStore,
};
use tempfile::TempDir;

/// A store, with the folder that it lives in.
type Made = (Arc<dyn LogStore>, Option<TempDir>);

fn in_memory() -> Made {
    (Arc::new(MemoryLogStore::default()), None)
}

fn in_files() -> Made {
    let folder = TempDir::new().unwrap();
    (Arc::new(FileLogStore::new(folder.path())), Some(folder))
}

fn buffered() -> Made {
    let (inner, folder) = in_files();
    (Arc::new(BufferedLogStore::new(inner, 3, Duration::from_millis(1))), folder)
}

fn in_several() -> Made {
    let (primary, folder) = in_files();
    (Arc::new(CompositeLogStore::new(primary, [in_memory().0])), folder)
}

fn shipped(keep_local: bool) -> Made {
    let folder = TempDir::new().unwrap();
    let local = Arc::new(FileLogStore::new(folder.path().join("here")));
    let there = Arc::new(FolderDestination::new(folder.path().join("there")));
    (Arc::new(ShippingLogStore::new(local, there, keep_local)), Some(folder))
}

fn copied() -> Made {
    shipped(true)
}

fn moved() -> Made {
    shipped(false)
}

macro_rules! every_store {
    ($($(#[$doc:meta])* async fn $promise:ident($store:ident: &Arc<dyn LogStore>) $body:block)*) => {
        mod promises {
            use super::*;
            $($(#[$doc])* pub async fn $promise($store: &Arc<dyn LogStore>) $body)*
        }
        every_store!(@ in_memory $($promise)*);
        every_store!(@ in_files $($promise)*);
        every_store!(@ buffered $($promise)*);
        every_store!(@ in_several $($promise)*);
        every_store!(@ copied $($promise)*);
        every_store!(@ moved $($promise)*);
    };
    (@ $made:ident $($promise:ident)*) => {
        mod $made {
            $(#[tokio::test] async fn $promise() {
                let (store, _folder) = super::$made();
                super::soon(super::promises::$promise(&store)).await;
            })*
        }
    };
}

every_store! {
    async fn lines_are_numbered_from_zero_whoever_asks_for_which(store: &Arc<dyn LogStore>) {
        let run = id("r");
        let lines: Vec<String> = (0..10).map(|n| format!("line {n}")).collect();
        store.append(&run, Channel::Stdout, &lines[..4].iter().map(|l| &**l).collect::<Vec<_>>()).await.unwrap();
        store.append(&run, Channel::Stdout, &lines[4..].iter().map(|l| &**l).collect::<Vec<_>>()).await.unwrap();

        for running in [true, false] {
            if !running {
                store.write_metadata(&run, &ended(&run)).await.unwrap();
                store.flush().await.unwrap();
            }
            for (since_line, tail, max_lines, expected) in [
                (0, None, None, 0..10),
                (7, None, None, 7..10),
                (10, None, None, 0..0),
                (99, None, None, 0..0),
                (2, None, Some(3), 2..5),
                (0, None, Some(0), 0..0),
                (0, Some(3), None, 7..10),
                (0, Some(0), None, 0..0),
                (0, Some(99), None, 0..10),
                (8, Some(3), None, 8..10),
                (1, Some(4), Some(2), 6..8),
            ] {
                let options = StreamOptions { follow: false, since_line, tail, max_lines };
                let expected: Vec<_> = expected.map(|n| (n, lines[n].clone())).collect();
                assert_eq!(numbered(store.stream(&run, Channel::Stdout, options)).await, expected, "{options:?}");
            }
        }
    }

    async fn channels_and_runs_do_not_mix(store: &Arc<dyn LogStore>) {
        let (one, two) = (id("one"), id("two"));
        for round in 0..5 {
            store.append_stdout(&one, &format!("1o{round}")).await.unwrap();
            store.append_stderr(&one, &format!("1e{round}")).await.unwrap();
            store.append_stdout(&two, &format!("2o{round}")).await.unwrap();
        }

        assert_eq!(stdout(&**store, &one).await, ["1o0", "1o1", "1o2", "1o3", "1o4"]);
        assert_eq!(stderr(&**store, &one).await, ["1e0", "1e1", "1e2", "1e3", "1e4"]);
        assert_eq!(stdout(&**store, &two).await, ["2o0", "2o1", "2o2", "2o3", "2o4"]);
        assert_eq!(stderr(&**store, &two).await, [""; 0]);
    }

    async fn a_text_is_cut_into_lines_in_one_way(store: &Arc<dyn LogStore>) {
        let run = id("r");
        let long = format!("{}é{}", "a".repeat(64 * 1024 - 1), "b".repeat(100));

        written(store, &run, &["a\r", "", "b\nc\r\n", &long, "ü\u{0}\t"]).await;
        store.flush().await.unwrap();

        let lines = stdout(&**store, &run).await;
        assert_eq!(lines[..4], ["a", "", "b", "c"]);
        assert_eq!(lines[4..6].concat(), long);
        assert_eq!(lines[4].len(), 64 * 1024 - 1);
        assert_eq!(lines[6..], ["ü\u{0}\t"]);
    }

    async fn what_is_not_there_is_not_found(store: &Arc<dyn LogStore>) {
        let run = id("nobody");
        for follow in [false, true] {
            let options = StreamOptions { follow, ..StreamOptions::default() };
            let all: Vec<_> = store.stream(&run, Channel::Stdout, options).collect().await;
            assert!(matches!(&all[..], [Err(LogError::NotFound { run })] if run.as_str() == "nobody"), "{all:?}");
        }
        assert_eq!(store.read_metadata(&run).await.unwrap(), None);
        assert!(!store.delete(&run).await.unwrap());
        assert!(store.list().await.unwrap().is_empty());
    }

    async fn metadata_are_read_as_written(store: &Arc<dyn LogStore>) {
        let (one, two) = (id("b"), id("a"));
        store.write_metadata(&one, &begun(&one)).await.unwrap();
        assert_eq!(store.read_metadata(&one).await.unwrap(), Some(begun(&one)));
        let last = RunMetadata { exit_code: Some(3), partitions: vec![1, 2], dropped_lines: 7, ..ended(&one) };

        store.write_metadata(&one, &last).await.unwrap();
        store.append(&two, Channel::Stdout, &[]).await.unwrap();
        store.flush().await.unwrap();

        assert_eq!(store.read_metadata(&one).await.unwrap(), Some(last.clone()));
        assert_eq!(last.duration_ms, Some(1500));
        let listed: Vec<_> = store.list().await.unwrap().into_iter().map(|log| (log.run_id, log.metadata)).collect();
        assert_eq!(listed, [(two, None), (one, Some(last))]);
    }

    async fn a_removed_log_is_gone(store: &Arc<dyn LogStore>) {
        let run = id("r");
        written(store, &run, &["x"]).await;
        store.flush().await.unwrap();

        assert!(store.delete(&run).await.unwrap());

        assert!(store.list().await.unwrap().is_empty());
        let all: Vec<_> = store.stream(&run, Channel::Stdout, StreamOptions::default()).collect().await;
        assert!(matches!(&all[..], [Err(LogError::NotFound { .. })]), "{all:?}");
    }

    async fn a_followed_log_delivers_lines_as_they_come_and_ends_with_the_run(store: &Arc<dyn LogStore>) {
        let run = id("r");
        store.append(&run, Channel::Stdout, &["0", "1"]).await.unwrap();
        let options = StreamOptions { tail: Some(1), ..StreamOptions::followed() };
        let mut lines = store.stream(&run, Channel::Stdout, options);

        for (number, text) in ["1", "2", "3"].into_iter().enumerate() {
            let expected = LogLine { number: number + 1, text: text.into() };
            assert_eq!(lines.next().await.unwrap().unwrap(), expected);
            store.append_stdout(&run, &(number + 2).to_string()).await.unwrap();
        }
        assert_eq!(lines.next().await.unwrap().unwrap().number, 4);

        store.append_stdout(&run, "last").await.unwrap();
        store.write_metadata(&run, &ended(&run)).await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap().text, "last");
        assert!(lines.next().await.is_none());
    }

    async fn a_run_that_is_resumed_goes_on_with_its_lines(store: &Arc<dyn LogStore>) {
        let run = id("r");
        written(store, &run, &["first", "activation"]).await;
        store.flush().await.unwrap();

        store.write_metadata(&run, &begun(&run)).await.unwrap();
        store.append_stdout(&run, "second").await.unwrap();
        store.write_metadata(&run, &ended(&run)).await.unwrap();
        store.flush().await.unwrap();

        assert_eq!(stdout(&**store, &run).await, ["first", "activation", "second"]);
    }
}
