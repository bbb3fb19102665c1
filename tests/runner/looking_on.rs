//! Who looks on, what it sees, and branches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use runnel::prelude::*;
use runnel::runs::stores::FileSystem;
use runnel::runs::{AttemptLog, Progress, RunObserver, StepLog, Stores};
use runnel::testing::takes;
use runnel::{Error, async_trait};

use crate::ground::{Book, Failing, app, fixed, into, night};

/// Writes down what it is told.
struct Notary(Book);

#[async_trait]
impl RunObserver for Notary {
    async fn on_before(&self, run: &RunContext) -> Result<()> {
        self.0.note(format!("before {}", run.task_name()));
        Ok(())
    }
    async fn on_after(&self, _: &RunContext, attempt: &AttemptLog) -> Result<()> {
        self.0.note(format!("after {}", attempt.status));
        Ok(())
    }
    async fn on_retry(&self, _: &RunContext, log: &AttemptLog, retry: u32, last: bool, error: &Error) -> Result<()> {
        self.0.note(format!("retry {retry} after {} ({last}): {error}", log.attempt_number));
        Ok(())
    }
    async fn before_step(&self, _: &RunContext, step: &StepLog) -> Result<()> {
        self.0.note(format!("begin {}", step.name));
        Ok(())
    }
    async fn after_step(&self, _: &RunContext, step: &StepLog) -> Result<()> {
        self.0.note(format!("end {} {}", step.name, step.status));
        Ok(())
    }
    async fn on_log(&self, progress: &Progress) -> Result<()> {
        let counters = progress.counters.iter();
        let shown = counters.map(|c| format!("{} {}/{:?} at {:.0}", c.name, c.count, c.total, c.rate));
        self.0.note(shown.collect::<Vec<_>>().join(", "));
        Ok(())
    }
}

/// Fails at every turn.
struct Clumsy;

#[async_trait]
impl RunObserver for Clumsy {
    async fn on_before(&self, _: &RunContext) -> Result<()> {
        panic!("not awake yet")
    }
    async fn before_step(&self, _: &RunContext, _: &StepLog) -> Result<()> {
        Err("cannot see".into())
    }
    async fn on_after(&self, _: &RunContext, _: &AttemptLog) -> Result<()> {
        panic!("fell asleep")
    }
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_in_order_and_their_own_failures_change_nothing() {
    let book = Book::new().fails("load", 2, Failing::Plainly);
    let shop = app(&book, |job| _ = job.retry(fixed(3))).observer(Clumsy).observer(Notary(book.clone()));

    let report = into(&shop, &Stores::memory()).run(night(1)).await.unwrap();

    assert!(report.is_well());
    let told: Vec<_> = book.lines().into_iter().filter(|line| line.contains(' ')).collect();
    assert_eq!(
        told,
        [
            "before ingest",
            "run of 1",
            "begin extract",
            "end extract SUCCESS",
            "begin normalize",
            "end normalize SUCCESS",
            "begin load",
            "end load FAIL",
            "retry 1 after 1 (false): step `load` failed",
            "run of 1",
            "begin load",
            "end load FAIL",
            "retry 2 after 2 (true): step `load` failed",
            "run of 1",
            "begin load",
            "end load SUCCESS",
            "after SUCCESS",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_now_and_then_and_at_the_end() {
    let book = Book::new();
    let mut shop = App::bare("shop");
    shop.on_demand(async |run: RunContext| {
        for _ in 0..5 {
            let _users = run.update("users", 10).total(50);
            takes(Duration::from_millis(500)).await;
        }
    })
    .name("ingest");

    let runner = into(&shop, &Stores::memory()).observer(Notary(book.clone()));
    let _ended = runner.run(()).await.unwrap();

    let told: Vec<_> = book.lines().into_iter().filter(|line| line.starts_with("users")).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[2], "users 50/Some(50) at 20");
}

/// A job of three branches that take a second each, and the most of them that were at work at once.
fn branching(most: Arc<AtomicU32>, calls: Arc<AtomicU32>) -> App {
    let mut shop = App::bare("shop");
    shop.on_demand(move |run: RunContext| {
        let (most, calls) = (most.clone(), calls.clone());
        async move {
            let at_work = AtomicU32::new(0);
            let rows: Vec<u64> = run
                .parallel("regions", ["eu", "us", "asia"], |branch: RunContext, region: &'static str| {
                    let (at_work, most, calls) = (&at_work, &most, &calls);
                    async move {
                        let load = async {
                            most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            takes(Duration::from_secs(1)).await;
                            at_work.fetch_sub(1, Ordering::SeqCst);
                            let first_of_us = region == "us" && calls.fetch_add(1, Ordering::SeqCst) == 0;
                            if first_of_us { Err("no luck".into()) } else { Ok::<_, Error>(region.len() as u64) }
                        };
                        branch.step("load", load).await
                    }
                })
                .await?;
            assert_eq!(rows, [2, 2, 4]);
            Ok::<(), Error>(())
        }
    })
    .name("ingest")
    .retry(fixed(2));
    shop
}

#[tokio::test(start_paused = true)]
async fn branches_are_done_at_once_and_only_those_that_failed_are_done_again() {
    let (most, calls, stores) = (Arc::<AtomicU32>::default(), Arc::default(), Stores::memory());

    let report = into(&branching(most.clone(), calls), &stores).run(()).await.unwrap();

    assert!(report.is_well(), "{report:?}");
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(report.took, Duration::from_secs(3), "a second, the wait, and a second for one branch");
    let log = stores.run_logs.get(&report.run_id).await.unwrap();
    let branch = log.branch("regions.us").expect("it has that branch");
    assert_eq!(branch.steps["regions.us.load"].attempts.len(), 2);
    assert_eq!(log.step("regions.eu.load").unwrap().attempts.len(), 1);
}

#[tokio::test]
async fn branches_are_done_one_after_the_other_where_the_store_has_one_writer() {
    let (most, calls) = (Arc::<AtomicU32>::default(), Arc::new(AtomicU32::new(1)));
    let place = tempfile::tempdir().unwrap();
    let stores = Stores::from(FileSystem::open(place.path()).unwrap());

    let report = into(&branching(most.clone(), calls), &stores).run(()).await.unwrap();

    assert!(report.is_well(), "{report:?}");
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
