//! How often a run is tried, and what is worth another attempt.

use runnel::prelude::*;
use runnel::runs::{Ended, Status, Stores};
use runnel::{Failure, RetryPolicy};

use crate::ground::{Book, Failing, app, fixed, into, night};

#[tokio::test(start_paused = true)]
async fn the_waits_of_a_backoff_double_between_their_bounds() {
    let book = Book::new().fails("load", 9, Failing::Plainly);
    let secs = Duration::from_secs;
    let shop = app(&book, |job| _ = job.retry(RetryPolicy::backoff(5, 2, secs(1), secs(10))));

    let report = into(&shop, &Stores::memory()).run(night(1)).await.unwrap();

    assert_eq!(book.times("load"), [0, 2, 6, 14, 24], "after 2, 4, 8 and 10 seconds");
    assert_eq!((report.status, report.attempts.len()), (Status::Fail, 5));
    assert_eq!(report.ended, Ended::Failed("step `load` failed: no luck with load".into()));
}

#[tokio::test(start_paused = true)]
async fn steps_that_were_done_are_not_done_again_by_another_attempt() {
    let book = Book::new().fails("load", 2, Failing::Plainly);
    let shop = app(&book, |job| _ = job.retry(fixed(5)));
    let stores = Stores::memory();

    let report = into(&shop, &stores).run(night(1)).await.unwrap();

    assert!(report.is_well());
    let tries = ["run of 1", "extract", "normalize", "load", "run of 1", "load", "run of 1", "load"];
    assert_eq!(book.lines(), tries);
    let log = stores.run_logs.get(&report.run_id).await.unwrap();
    assert_eq!(log.status, Status::Success);
    assert_eq!(log.steps.keys().collect::<Vec<_>>(), ["extract", "normalize", "load"]);
    assert_eq!(
        log.steps["load"].attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(),
        [Status::Fail, Status::Fail, Status::Success]
    );
    assert_eq!(log.attempts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_errors_of_listed_steps_and_of_none_are_worth_another_attempt() {
    for (steps, failing, attempts) in [
        (vec!["load"], "extract", 1),
        (vec!["load"], "load", 2),
        (vec!["extract", "normalize"], "normalize", 2),
        (vec![], "load", 1),
    ] {
        let book = Book::new().fails(failing, 1, Failing::Plainly);
        let shop = app(&book, |job| _ = job.retry(fixed(3)).retry_steps(steps.clone()));

        let report = into(&shop, &Stores::memory()).run(night(1)).await.unwrap();

        assert_eq!((report.attempts.len(), report.is_well()), (attempts, attempts == 2), "{failing} of {steps:?}");
    }
    let mut shop = App::bare("shop");
    shop.on_demand(async || Err::<(), _>("outside of any step")).name("ingest").retry(fixed(3));
    let report = into(&shop, &Stores::memory()).run(()).await.unwrap();
    assert_eq!(report.attempts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_terminal_error_ends_the_run_at_once() {
    let book = Book::new().fails("load", 1, Failing::Terminally);
    let shop = app(&book, |job| _ = job.retry(fixed(3)));

    let report = into(&shop, &Stores::memory()).run(night(1)).await.unwrap();

    assert_eq!(report.attempts.len(), 1);
    let failed = report.into_result().unwrap_err().to_string();
    assert!(failed.contains("ended as FAIL: step `load` failed: no such table"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_with_its_message_wherever_it_comes_from() {
    let book = Book::new().fails("load", 1, Failing::ByPanic);
    let shop = app(&book, |job| _ = job.retry(fixed(3)));
    let report = into(&shop, &Stores::memory()).run(night(1)).await.unwrap();
    assert_eq!((report.attempts.len(), report.is_well()), (2, true));
    assert_eq!(report.attempts[0].message, "step `load` failed: it panicked: load went up in smoke");

    let mut shop = App::bare("shop");
    shop.on_demand(async || -> () { panic!("at once") }).name("ingest").retry(fixed(2));
    let report = into(&shop, &Stores::memory()).run(()).await.unwrap();
    assert_eq!(report.attempts.len(), 2);
    assert_eq!(report.ended, Ended::Failed("the job panicked: at once".into()));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_cuts_all_attempts_and_is_not_tried_again() {
    let book = Book::new().fails("load", 1, Failing::Plainly).fails("normalize", 1, Failing::ByHanging);
    let shop = app(&book, |job| _ = job.retry(fixed(9)).timeout(Duration::from_secs(30)));
    let stores = Stores::memory();

    let report = into(&shop, &stores).run(night(1)).await.unwrap();

    assert_eq!((report.status, report.took), (Status::Terminated, Duration::from_secs(30)));
    assert_eq!(report.attempts.len(), 1);
    let log = stores.run_logs.get(&report.run_id).await.unwrap();
    assert_eq!(log.steps["normalize"].status, Status::Terminated, "it ended with its run");
}

#[tokio::test(start_paused = true)]
async fn having_nothing_to_do_is_no_failure_also_in_a_step() {
    let mut shop = App::bare("shop");
    shop.on_demand(async |run: RunContext| -> Result<()> {
        run.step("extract", async { Err::<(), _>(runnel::inaction("no orders")) }).await
    })
    .name("ingest")
    .retry(fixed(3));

    let report = into(&shop, &Stores::memory()).run(()).await.unwrap();

    assert_eq!((report.status, report.attempts.len(), report.is_well()), (Status::Inaction, 1, true));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_work_and_an_input_that_does_not_fit_are_refused_before_anything_runs() {
    let book = Book::new();
    let shop = app(&book, |job| _ = job.retry(fixed(0)));
    let refused = into(&shop, &Stores::memory()).run(night(1)).await.unwrap_err();
    assert!(matches!(&refused, Failure::Invalid(why) if why.contains("at least 1")), "{refused}");

    let shop = app(&book, |_| {});
    let refused =
        into(&shop, &Stores::memory()).run(serde_json::json!({"day": "monday"})).await.unwrap_err().to_string();
    assert!(refused.contains("job `ingest` cannot run: the input is no `Night`"), "{refused}");
    assert!(book.lines().is_empty());
}
