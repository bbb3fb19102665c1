//! Steps of tasks, timers and crontabs: written down like those of jobs, and kept for nothing else.

use runnel::prelude::*;
use runnel::runs::{RunLog, RunLogQuery, Status};
use runnel::testing::{TestApp, takes};

use crate::shop::{MS, SECOND};

/// The document of the newest run of a task.
async fn newest(shop: &TestApp, task: &str) -> RunLog {
    let logs = shop.app().run_logs();
    let found = logs.get_run_logs(&RunLogQuery::new().task(task).limit(1)).await.unwrap().items.remove(0);
    logs.get(&found.run_id).await.unwrap()
}

async fn until_noon(app: App) -> TestApp {
    let shop = TestApp::at("2026-01-01T11:59:58Z", app).await;
    shop.advance_to("2026-01-01T12:00:01Z").await;
    shop.until_idle().await;
    shop
}

#[tokio::test(start_paused = true)]
async fn steps_of_what_runs_by_the_clock_are_in_its_document_with_times_and_errors() {
    let work = async |run: RunContext| -> Result<()> {
        let rows: u32 = run
            .step("extract", async {
                takes(20 * MS).await;
                Ok::<_, runnel::Error>(7)
            })
            .await?;
        assert_eq!(rows, 7);
        run.step("load", async { Err::<(), runnel::Error>("no network".into()) }).await
    };
    let mut app = App::bare("shop");
    app.task(work).name("warm_up");
    app.timer(2 * SECOND, work).name("ping");
    app.crontab("0 12 * * *", work).name("noon");

    let shop = until_noon(app).await;

    for task in ["warm_up", "ping", "noon"] {
        let log = newest(&shop, task).await;
        let steps: Vec<_> = log.steps.values().map(|step| (step.name.as_str(), step.status)).collect();
        assert_eq!(steps, [("extract", Status::Success), ("load", Status::Fail)], "{task}");
        let extract = &log.steps["extract"].attempts[0];
        let took = extract.finished_at.unwrap() - extract.started_at;
        assert_eq!((took.num_milliseconds(), extract.attempt_number), (20, 1), "{task}");
        assert!(extract.output_parameters.is_empty(), "nobody will ever ask for it");
        assert_eq!(log.steps["load"].message, "no network", "{task}");
        assert_eq!(log.status, Status::Fail);
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_cut_in_the_middle_ends_as_its_run_does() {
    let mut app = App::bare("shop");
    let hang = async |run: RunContext| -> Result<()> { run.step("wait", std::future::pending::<Result<()>>()).await };
    app.timer(2 * SECOND, hang).name("hang").timeout(500 * MS);

    let shop = until_noon(app).await;

    let log = newest(&shop, "hang").await;
    assert_eq!((log.status, log.steps["wait"].status), (Status::Terminated, Status::Terminated));
    assert!(log.steps["wait"].message.starts_with("cut in the middle: "), "{:?}", log.steps["wait"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_steps_all_the_time_does_not_fill_its_document() {
    let mut app = App::bare("shop");
    let busy = async |run: RunContext| -> Result<()> {
        for _ in 0..1100 {
            run.step("poll", async { Ok::<_, runnel::Error>(()) }).await?;
        }
        Ok(())
    };
    app.task(busy).name("busy");

    let shop = until_noon(app).await;

    let log = newest(&shop, "busy").await;
    assert_eq!((log.status, log.steps.len()), (Status::Success, 1000));
}

#[tokio::test(start_paused = true)]
async fn steps_of_runs_that_are_not_written_down_are_done_all_the_same() {
    let mut app = App::bare("shop").setting("task_log_policy", "off");
    let work = async |run: RunContext| -> Result<()> {
        let answers = run.parallel("regions", ["eu", "us"], async |branch, region| {
            branch.step("load", async { Ok::<_, runnel::Error>(region.len()) }).await
        });
        assert_eq!(answers.await?, [2, 2]);
        Ok(())
    };
    app.timer(SECOND, work).name("ping");

    let shop = until_noon(app).await;

    assert!(shop.fired("ping").iter().filter_map(|run| run.outcome.as_ref()).all(|ended| !ended.is_failure()));
    assert!(shop.fired("ping").iter().any(|run| run.outcome.is_some()));
}
