//! Events reach the log of their run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use async_trait::async_trait;
use runnel::runs::output::capture::{self, RunLogFormat};
use runnel::runs::output::{MemoryLogStore, RunEnd, RunOutput, StoredLog};
use tokio::sync::Semaphore;
use tracing::Instrument;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// One subscriber for all tests of this process: tasks run on threads of their own. Beside the layer of runs stands one
/// that wants errors alone, as a console may.
fn installed() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let console = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let console = console.with_filter(tracing_subscriber::filter::LevelFilter::ERROR);
        let runs = capture::filtered_layer("info,chatty=trace,quiet=off", RunLogFormat::Text).unwrap();
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(runs).with(console)).unwrap();
    });
}

fn begin(run: &str) -> (Arc<dyn LogStore>, RunOutput) {
    installed();
    let store: Arc<dyn LogStore> = Arc::new(MemoryLogStore::default());
    let output = RunOutput::begin(store.clone(), id(run), "report", 1);
    (store, output)
}

async fn sealed(output: &RunOutput) -> RunMetadata {
    soon(output.seal(RunEnd::new(Status::Success))).await.unwrap()
}

/// What comes after the time.
fn said(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| line[24..].to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_interleaved_runs_gets_exactly_its_lines() {
    let (store, _) = begin("unused");
    let run = |run: usize| {
        let output = RunOutput::begin(store.clone(), id(&format!("run-{run}")), "report", 1);
        async move {
            let work = async {
                for line in 0..50 {
                    tracing::info!("{run}/{line}");
                    tokio::task::yield_now().await;
                    let helper = runnel::spawn(async move { tracing::warn!("{run}/{line}") });
                    helper.await.unwrap();
                }
            };
            output.around(work).await;
            sealed(&output).await;
        }
    };
    let runs: Vec<_> = (0..8).map(|n| tokio::spawn(run(n))).collect();
    soon(futures::future::join_all(runs)).await.into_iter().for_each(Result::unwrap);

    for run in 0..8 {
        let run_id = id(&format!("run-{run}"));
        let expected =
            |level| (0..50).map(|line| format!(" {level} output::capturing: {run}/{line}")).collect::<Vec<_>>();
        assert_eq!(said(stdout(&*store, &run_id).await), expected(" INFO"));
        assert_eq!(said(stderr(&*store, &run_id).await), expected(" WARN"));
    }
}

#[tokio::test]
async fn a_line_tells_its_fields_and_those_of_the_spans_within_the_run() {
    let (store, output) = begin("r");
    let work = async {
        let _around = ();
        async {
            tracing::info!(rows = 3, path = "a\nb", "loaded");
        }
        .instrument(tracing::info_span!("step", step = "load", rows = 1))
        .await;
        tracing::error!("bad\n[forged]");
    };
    output.around(work).instrument(tracing::error_span!("around", worker = "w1")).await;
    sealed(&output).await;

    let lines = stdout(&*store, &id("r")).await;
    chrono::DateTime::parse_from_rfc3339(&lines[0][..24]).unwrap();
    assert_eq!(said(lines), ["  INFO output::capturing: loaded step=load rows=3 path=a\\nb"]);
    assert_eq!(said(stderr(&*store, &id("r")).await), [" ERROR output::capturing: bad\\n[forged]"]);
}

#[tokio::test]
async fn the_nearest_run_gets_the_line_and_events_outside_belong_to_none() {
    let (store, outer) = begin("outer");
    let inner = RunOutput::begin(store.clone(), id("inner"), "report", 1);
    let work = async {
        tracing::info!("outer");
        inner.around(async { tracing::info!("inner") }).await;
        tracing::info!("outer again");
    };
    outer.around(work).await;
    tracing::info!("nobody's");
    sealed(&inner).await;
    sealed(&outer).await;

    assert_eq!(said(stdout(&*store, &id("inner")).await), ["  INFO output::capturing: inner"]);
    let outer = said(stdout(&*store, &id("outer")).await);
    assert_eq!(outer, ["  INFO output::capturing: outer", "  INFO output::capturing: outer again"]);
}

#[tokio::test]
async fn the_run_log_has_a_filter_of_its_own() {
    let (store, output) = begin("r");
    let work = async {
        tracing::debug!("not asked for");
        tracing::trace!(target: "chatty", "asked for");
        tracing::error!(target: "quiet", "not wanted");
        tracing::info!("what the console does not show");
    };
    output.around(work).await;
    sealed(&output).await;

    assert_eq!(
        said(stdout(&*store, &id("r")).await),
        [" TRACE chatty: asked for", "  INFO output::capturing: what the console does not show"]
    );
    assert!(stderr(&*store, &id("r")).await.is_empty());
    assert!(capture::filtered_layer::<tracing_subscriber::Registry>("a=b=c", RunLogFormat::Text).is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn json_is_an_object_a_line() {
    let store: Arc<dyn LogStore> = Arc::new(MemoryLogStore::default());
    let output = RunOutput::begin(store.clone(), id("r"), "report", 1);
    let layer = capture::filtered_layer("off,output=info", RunLogFormat::Json).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        assert!(capture::is_captured());
        output.span().in_scope(|| tracing::info!(rows = 3, "a\nb"));
    });
    sealed(&output).await;

    let line: serde_json::Value = serde_json::from_str(&stdout(&*store, &id("r")).await[0]).unwrap();
    assert_eq!((&line["message"], &line["rows"], &line["level"]), (&"a\nb".into(), &3.into(), &"info".into()));
}

#[test]
fn a_subscriber_without_the_layer_is_noticed() {
    tracing::subscriber::with_default(tracing_subscriber::registry(), || assert!(!capture::is_captured()));
    let subscriber = tracing_subscriber::registry().with(capture::layer());
    tracing::subscriber::with_default(subscriber, || assert!(capture::is_captured()));
}

/// A store that takes an append for each time that it is let go.
struct Stuck {
    inner: MemoryLogStore,
    asked: AtomicUsize,
    go: Semaphore,
}

impl Stuck {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: MemoryLogStore::default(), asked: AtomicUsize::new(0), go: Semaphore::new(0) })
    }

    /// Waits until it was asked so often to append.
    async fn was_asked(&self, times: usize) {
        support::eventually("it is asked to append", async || self.asked.load(Ordering::Relaxed) == times).await;
    }
}

#[async_trait]
impl LogStore for Stuck {
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError> {
        if !lines.is_empty() {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.go.acquire().await.unwrap().forget();
        }
        self.inner.append(run, channel, lines).await
    }
    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream {
        self.inner.stream(run, channel, options)
    }
    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError> {
        self.inner.write_metadata(run, metadata).await
    }
    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError> {
        self.inner.read_metadata(run).await
    }
    async fn list(&self) -> Result<Vec<StoredLog>, LogError> {
        self.inner.list().await
    }
    async fn delete(&self, run: &RunId) -> Result<bool, LogError> {
        self.inner.delete(run).await
    }
}

#[tokio::test]
async fn what_does_not_fit_is_counted_and_said_once_where_it_is_missing() {
    installed();
    let stuck = Stuck::new();
    let store: Arc<dyn LogStore> = stuck.clone();
    let output = RunOutput::begin(store.clone(), id("r"), "report", 1);
    output.stdout("first").await.unwrap();
    stuck.was_asked(1).await;

    let taken = (0..10_000).filter(|line| output.offer(Channel::Stdout, &line.to_string())).count();
    assert_eq!(taken, 8192);
    output.around(async { tracing::warn!("lost") }).await;
    stuck.go.add_permits(1);
    stuck.was_asked(2).await;
    assert!(output.offer(Channel::Stdout, "after"));
    stuck.go.add_permits(100);
    let metadata = sealed(&output).await;

    let lines = stdout(&*store, &id("r")).await;
    assert_eq!(lines.len(), 1 + taken + 1 + 1);
    assert_eq!(lines[lines.len() - 3..], ["8191", "[runnel] 1808 lines dropped", "after"]);
    assert_eq!(stderr(&*store, &id("r")).await, ["[runnel] 1 lines dropped"]);
    assert_eq!((metadata.dropped_lines, metadata.stdout_lines), (1809, lines.len() as u64));
}

#[tokio::test]
async fn long_lines_that_wait_are_bounded_by_their_bytes() {
    let stuck = Stuck::new();
    let output = RunOutput::begin(stuck.clone(), id("r"), "report", 1);
    let line = "x".repeat(64 * 1024);

    let taken = (0..1000).filter(|_| output.offer(Channel::Stdout, &line)).count();

    assert!((50..70).contains(&taken), "{taken}");
    stuck.go.add_permits(100);
    sealed(&output).await;
}
