//! Runs that were left unfinished.

use runnel::Failure;
use runnel::prelude::*;
use runnel::runs::{NewRunLog, RunId, Status, Stores};
use runnel::testing::TestApp;

use crate::ground::{Book, Failing, app, fixed, into, night};

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_is_finished_before_a_new_one_begins() {
    let book = Book::new().fails("load", 2, Failing::Plainly);
    let shop = app(&book, |job| _ = job.retry(fixed(2)));
    let (stores, place) = (Stores::memory(), tempfile::tempdir().unwrap());
    let runner = into(&shop, &stores).work_dir(place.path());
    let failed = runner.run(night(1)).await.unwrap();
    assert!(!failed.is_well());

    let report = runner.run(night(2)).await.unwrap();

    let finished = report.pending.as_ref().expect("the first one was pending");
    assert_eq!((&finished.run_id, finished.activation, finished.is_well()), (&failed.run_id, 2, true));
    assert_eq!(finished.attempts[0].attempt_number, 3, "its attempts go on");
    let lines = book.lines();
    assert_eq!(lines[6..], ["run of 1", "load", "run of 2", "extract", "normalize", "load"]);
    let log = stores.run_logs.get(&failed.run_id).await.unwrap();
    assert_eq!((log.status, log.activation, log.attempts.len()), (Status::Success, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn nothing_new_begins_while_the_last_run_still_fails() {
    let book = Book::new().fails("load", 2, Failing::Plainly);
    let (shop, stores) = (app(&book, |_| {}), Stores::memory());
    let failed = into(&shop, &stores).run(night(1)).await.unwrap();

    let report = into(&shop, &stores).run(night(2)).await.unwrap();

    assert_eq!((&report.run_id, report.activation, report.status), (&failed.run_id, 2, Status::Fail));
    assert!(!book.lines().contains(&"run of 2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_with_nothing_done_is_left_alone() {
    let book = Book::new().fails("extract", 1, Failing::Plainly);
    let (shop, stores) = (app(&book, |_| {}), Stores::memory());
    let failed = into(&shop, &stores).run(night(1)).await.unwrap();

    let report = into(&shop, &stores).run(night(2)).await.unwrap();

    assert!(report.is_well() && report.pending.is_none() && report.run_id != failed.run_id);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_process_died_is_finished_elsewhere_though_nothing_was_projected() {
    let book = Book::new().fails("load", 1, Failing::ByHanging);
    let shop = app(&book, |job| _ = job.retry(fixed(2)));
    let _world = TestApp::without_workers(shop.clone()).await;
    let first = shop.clone();
    let dying = runnel::spawn(async move { first.job_named("ingest").run(night(1)).await });
    while book.times("load").is_empty() {
        tokio::task::yield_now().await;
    }

    dying.abort();
    assert!(dying.await.is_err());
    // Its announcements lapse; nobody else is there to see it.
    tokio::time::advance(Duration::from_secs(30)).await;
    let report = shop.job_named("ingest").run(night(2)).await.unwrap();

    let finished = report.pending.expect("the first one had crashed");
    assert_eq!((finished.activation, finished.is_well()), (2, true));
    assert_eq!(book.lines()[3..6], ["load", "run of 1", "load"], "what was done is not done again");
    assert_eq!(book.times("extract").len(), 2, "once for each run");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_retried_by_its_id_with_what_it_was_given() {
    let book = Book::new().fails("load", 1, Failing::Plainly);
    let shop = app(&book, |_| {});
    let _world = TestApp::start(shop.clone()).await;
    let failed = shop.job_named("ingest").run(night(1)).await.unwrap();

    let report = shop.retry_run(&failed.run_id).await.unwrap();

    assert_eq!((&report.run_id, report.activation, report.is_well()), (&failed.run_id, 2, true));
    assert_eq!(book.lines()[4..], ["run of 1", "load"]);
    let refused = shop.retry_run(&failed.run_id).await.unwrap_err();
    assert!(matches!(&refused, Failure::RetryValidation(why) if why.contains("has ended well")), "{refused}");
    let unknown = shop.retry_run(&"nobody".parse().unwrap()).await.unwrap_err();
    assert!(matches!(unknown, Failure::NotFound(_)), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_changed_does_not_resume_its_old_run_and_starts_anew() {
    let book = Book::new().fails("load", 1, Failing::Plainly);
    let stores = Stores::memory();
    let failed = into(&app(&book, |_| {}), &stores).run(night(1)).await.unwrap();
    let changed = app(&book, |job| _ = job.dag("extract normalize check load"));

    let refused = into(&changed, &stores).retry(&failed.run_id).await.unwrap_err();
    assert!(matches!(&refused, Failure::RetryValidation(why) if why.contains("the job has changed")), "{refused}");
    let report = into(&changed, &stores).run(night(2)).await.unwrap();

    assert!(report.is_well() && report.pending.is_none() && report.run_id != failed.run_id);
}

#[tokio::test(start_paused = true)]
async fn a_clean_folder_is_empty_once_for_each_run_and_gives_pending_work_up() {
    let place = tempfile::tempdir().unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (mut shop, sees) = (App::bare("shop"), seen.clone());
    shop.on_demand(move |run: RunContext| {
        let seen = sees.clone();
        async move {
            let folder = run.work_dir()?.to_owned();
            seen.lock().unwrap().push(std::fs::read_dir(&folder)?.count());
            run.step("extract", async { std::fs::write(folder.join("rows"), "1") }).await?;
            Err::<(), runnel::Error>("not yet".into())
        }
    })
    .name("ingest")
    .retry(fixed(2))
    .run_from_clean_folder();
    let runner = into(&shop, &Stores::memory()).work_dir(place.path());

    let first = runner.run(()).await.unwrap();
    let second = runner.run(()).await.unwrap();

    assert_eq!(*seen.lock().unwrap(), [0, 1, 0, 1], "never between attempts");
    assert!(second.pending.is_none() && second.run_id != first.run_id);
}

#[tokio::test]
async fn a_run_of_what_is_no_job_on_demand_is_not_resumed_and_that_is_said() {
    let stores = Stores::memory();
    let mut shop = App::bare("shop").redis("memory://").run_logs_in(stores.clone());
    shop.timer(Duration::from_secs(1), async || ()).name("report");
    let id: RunId = "r".parse().unwrap();
    stores.run_logs.create_run_log(NewRunLog::new(id.clone(), "report")).await.unwrap();

    let refused = shop.retry_run(&id).await.unwrap_err().to_string();

    assert!(refused.contains("run r is one of timer `report`: only runs of jobs on demand"), "{refused}");
}
