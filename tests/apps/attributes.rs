//! What the attribute macros make: jobs that an app finds by itself, and tests on a runtime of ours.

use runnel::prelude::*;
use runnel::testing::takes;

#[runnel::task(on_leader, timeout = "5m")]
async fn migrate() -> Result<()> {
    Ok(())
}

#[runnel::timer(interval = "10s", jitter = "1s", overlap = "queue", exception_policy = "halt")]
async fn ping(_: RunContext, _: State<u64>) {}

#[runnel::crontab(
    "45 17 * * MON-FRI",
    timezone = "Europe/London",
    on_leader,
    missed = "all(1000)",
    max_lateness = "90s",
    delivery = "at_least_once",
    name = "close_of_business"
)]
async fn close() {}

/// What an app knows of its jobs, as it shows it.
fn jobs(app: &App) -> String {
    let shown = format!("{app:?}");
    let jobs = shown.split_once("jobs: ").expect("an app shows its jobs").1;
    jobs.to_owned()
}

#[test]
fn declared_jobs_are_found_with_what_was_said_of_them() {
    let jobs = jobs(&App::new("shop"));

    for job in [
        r#"{ name: "migrate", when: AtStart, on_leader: true, exception_policy: Ignore, timeout: Some(300s)"#,
        r#"{ name: "ping", when: Every { interval: 10s, jitter: 1s, overlap: Queue }, on_leader: false, exception_policy: Halt, timeout: None"#,
        r#"{ name: "close_of_business", when: At { spec: "45 17 * * MON-FRI", timezone: Some("Europe/London"), missed: All(1000), max_lateness: Some(90s), delivery: AtLeastOnce }, on_leader: true, exception_policy: Ignore, timeout: None"#,
    ] {
        assert!(jobs.contains(job), "{job}\nis not in\n{jobs}");
    }
}

#[test]
fn the_macro_lets_a_crontab_catch_up_with_as_many_instants_as_there_may_be() {
    // It refuses more while it compiles; the crontab above asks for as many as that.
    assert_eq!(runnel::Missed::MOST, 1_000);
}

#[test]
fn a_bare_app_has_the_jobs_it_is_given() {
    assert!(jobs(&App::bare("shop")).starts_with("[]"));
    let given = jobs(&App::bare("shop").with::<ping>());
    assert!(given.starts_with(r#"[JobSpec { name: "ping""#) && given.matches("JobSpec").count() == 1, "{given}");
}

#[test]
fn the_states_that_jobs_ask_for_are_asked_of_the_app() {
    let told = runnel::testing::run(async {
        let connected = App::bare("shop").with::<ping>().redis("memory://").connect().await.unwrap();
        connected.work_until(std::future::ready(())).await.unwrap_err().to_string()
    });

    assert!(told.contains("`ping`") && told.contains("`u64`") && told.contains("attributes.rs:"), "{told}");
}

const HOUR: Duration = Duration::from_secs(3600);

/// How long this takes outside, where time always passes.
#[allow(clippy::disallowed_methods, reason = "it is the real time that is asked about")]
fn lasts(test: impl FnOnce()) -> Duration {
    let began = std::time::Instant::now();
    test();
    began.elapsed()
}

mod written {
    use super::*;

    #[runnel::test]
    pub(crate) async fn an_hour_takes_no_time() {
        takes(HOUR).await;
    }

    #[runnel::test(real_time)]
    pub(crate) async fn a_moment_takes_its_time() -> Result<()> {
        takes(Duration::from_millis(20)).await;
        Ok(())
    }

    #[runnel::test]
    #[should_panic = "nothing is the same"]
    async fn attributes_of_tests_are_theirs() {
        panic!("nothing is the same");
    }

    #[runnel::test]
    async fn results_are_answered() -> Result<(), std::num::ParseIntError> {
        let seven: u64 = "7".parse()?;
        assert_eq!(seven, 7);
        Ok(())
    }
}

#[test]
fn time_is_paused_in_tests_and_passes_in_those_of_real_time() {
    assert!(lasts(written::an_hour_takes_no_time) < HOUR / 10);
    assert!(lasts(|| written::a_moment_takes_its_time().unwrap()) >= Duration::from_millis(20));
}
