//! What remains of attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runnel::async_trait;
use runnel::prelude::*;
use runnel::runs::{
    MemoryStore, NewRunLog, Page, Parameter, RunId, RunLog, RunLogQuery, RunLogStore, Status, StoreError, StoreSummary,
    Stores,
};
use runnel::testing::TestApp;

use crate::ground::{Book, Failing, app, fixed, into, night};

/// A store that can be broken.
#[derive(Clone, Default)]
struct Shaky {
    inner: Arc<MemoryStore>,
    is_broken: Arc<AtomicBool>,
}

impl Shaky {
    fn try_it(&self) -> Result<&MemoryStore, StoreError> {
        match self.is_broken.load(Ordering::SeqCst) {
            true => Err(StoreError::Backend { doing: "be there".into(), transient: true, source: "it is gone".into() }),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl RunLogStore for Shaky {
    fn service_name(&self) -> &str {
        "shaky"
    }
    async fn create_run_log(&self, new: NewRunLog) -> Result<RunLog, StoreError> {
        self.try_it()?.create_run_log(new).await
    }
    async fn get_run_log_by_id(&self, id: &RunId, full: bool) -> Result<RunLog, StoreError> {
        self.try_it()?.get_run_log_by_id(id, full).await
    }
    async fn put_run_log(&self, log: &RunLog) -> Result<(), StoreError> {
        self.try_it()?.put_run_log(log).await
    }
    async fn get_run_logs(&self, query: &RunLogQuery) -> Result<Page<RunLog>, StoreError> {
        self.try_it()?.get_run_logs(query).await
    }
    async fn delete_run_log(&self, id: &RunId) -> Result<bool, StoreError> {
        self.try_it()?.delete_run_log(id).await
    }
    fn summary(&self) -> StoreSummary {
        StoreSummary::new("shaky")
    }
}

/// The traces in a store: the attempts of each run.
async fn traces(store: &dyn RunLogStore) -> Vec<(u32, Status)> {
    let page = store.get_run_logs(&RunLogQuery::new().task("ingest_trace")).await.unwrap();
    let mut all = Vec::new();
    for header in page.items.iter().rev() {
        let log = store.get(&header.run_id).await.unwrap();
        all.extend(log.attempts.iter().map(|attempt| (attempt.attempt_number, attempt.status)));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn every_attempt_leaves_a_trace_in_the_store_it_is_meant_for() {
    let book = Book::new().fails("load", 1, Failing::Plainly);
    let (stores, apart) = (Stores::memory(), Shaky::default());
    let shop = app(&book, |job| _ = job.retry(fixed(2)).store_trace_info(true));
    let report = into(&shop, &stores).run(night(1)).await.unwrap();
    assert_eq!(traces(&*stores.run_logs).await, [(1, Status::Fail), (2, Status::Success)]);
    assert_eq!(report.attempts.iter().map(|attempt| attempt.steps.len()).collect::<Vec<_>>(), [3, 3]);
    let last = &report.attempts[1];
    assert!(last.retry_indicator.contains("retry 1: step `load` failed"), "{}", last.retry_indicator);
    assert_eq!(last.input_parameters["day"], Parameter::from(1));
    assert_eq!(last.resolved_config_values["retry_policy"], "code");
    assert!(last.code_identities.iter().any(|code| code.kind == "runnel"));
    assert_eq!(last.execution_context["app"], "shop");

    let shop = app(&Book::new(), |job| _ = job.store_trace_info("apart"));
    let _ended = into(&shop, &stores).trace_store("apart", apart.clone()).run(night(1)).await.unwrap();
    assert_eq!(traces(&apart).await, [(1, Status::Success)]);
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_cannot_be_stored_is_kept_as_a_file_until_it_can() {
    let book = Book::new().fails("load", 1, Failing::Plainly);
    let (place, apart) = (tempfile::tempdir().unwrap(), Shaky::default());
    let shop = app(&book, |job| _ = job.retry(fixed(2)).store_trace_info("apart").run_from_clean_folder());
    let runner = into(&shop, &Stores::memory()).work_dir(place.path()).trace_store("apart", apart.clone());
    let files = || std::fs::read_dir(place.path().join("ingest/traces")).unwrap().count();

    apart.is_broken.store(true, Ordering::SeqCst);
    let report = runner.run(night(1)).await.unwrap();
    assert!(report.is_well(), "its trace is not its outcome");
    assert_eq!(files(), 2);
    assert!(place.path().join(format!("ingest/traces/{}_attempt_1_trace.json", report.run_id)).exists());

    apart.is_broken.store(false, Ordering::SeqCst);
    let _ended = runner.run(night(2)).await.unwrap();
    assert_eq!(files(), 0);
    assert_eq!(traces(&apart).await, [(1, Status::Fail), (2, Status::Success), (1, Status::Success)]);
}

#[tokio::test(start_paused = true)]
async fn a_store_of_traces_that_nobody_gave_is_found_out_before_anything_runs() {
    let book = Book::new();
    let shop = app(&book, |job| _ = job.store_trace_info("apartt")).trace_store("apart", Shaky::default());

    let refused = into(&shop, &Stores::memory()).run(night(1)).await.unwrap_err().to_string();
    let worker = shop.clone().redis("memory://").connect().await.unwrap();
    let at_start = worker.work_until(async {}).await.unwrap_err().to_string();

    for why in [&refused, &at_start] {
        let said = "there is no store of traces named `apartt`; did you mean `apart`?: give it with App::trace_store";
        assert!(why.contains("job `ingest`") && why.contains(said), "{why}");
    }
    assert!(book.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn workers_send_traces_again_at_their_start_and_every_hour() {
    let (place, apart) = (tempfile::tempdir().unwrap(), Shaky::default());
    let shop = app(&Book::new(), |job| _ = job.store_trace_info("apart"));
    let shop = shop.trace_store("apart", apart.clone()).setting("job_work_dir", place.path().display().to_string());
    let files = || std::fs::read_dir(place.path().join("ingest/traces")).unwrap().count();
    let leave_one = async || {
        apart.is_broken.store(true, Ordering::SeqCst);
        let _ended = into(&shop, &Stores::memory()).run(night(1)).await.unwrap();
        assert_eq!(files(), 1);
    };
    leave_one().await;

    apart.is_broken.store(false, Ordering::SeqCst);
    let at_work = TestApp::start(shop.clone()).await;
    at_work.advance(Duration::from_secs(1)).await;
    assert_eq!((files(), traces(&apart).await.len()), (0, 1));

    leave_one().await;
    at_work.advance(Duration::from_secs(3601)).await;
    assert_eq!(files(), 1, "the store is still broken");
    apart.is_broken.store(false, Ordering::SeqCst);
    at_work.advance(Duration::from_secs(3600)).await;
    assert_eq!((files(), traces(&apart).await.len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn metrics_and_outputs_of_an_attempt_are_in_its_trace_without_secrets() {
    let mut shop = App::bare("shop");
    shop.on_demand(async |run: RunContext| {
        run.metric("rows", 5);
        run.metric("rows", 7);
        run.output("file", "/tmp/x");
        run.output("api_token", "canary");
    })
    .name("ingest");

    let report = into(&shop, &Stores::memory()).run(()).await.unwrap();

    let trace = &report.attempts[0];
    assert_eq!(trace.user_defined_metrics["rows"], Parameter::Metric(7.into()));
    assert_eq!(report.output["file"], Parameter::from("/tmp/x"));
    assert!(!serde_json::to_string(trace).unwrap().contains("canary"));
}
