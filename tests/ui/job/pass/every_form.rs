//! Every way to write a job, and the two ways to name one.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![forbid(unsafe_code)]

use runnel::{App, Result, RunContext, State, inaction};

/// Its documentation.
#[runnel::task]
async fn warm_up() {}

#[runnel::task(on_leader, timeout = "5m", exception_policy = "halt")]
async fn migrate(limit: State<u64>) -> Result<()> {
    if *limit == 0 {
        return Err(inaction("nothing to migrate"));
    }
    Ok(())
}

#[runnel::task()]
async fn without_options() -> Result {
    Err("no")?
}

#[runnel::timer(interval = "10s", jitter = "1s", overlap = "queue", on_leader)]
async fn ping(run: RunContext, limit: State<u64>) -> Result<(), std::fmt::Error> {
    let _ = (run.instant(), *limit);
    Ok(())
}

#[runnel::timer(overlap = "allow", exception_policy = "quarantine", name = "pong", interval = "1ms", jitter = "1ms")]
async fn second(_: State<u64>, _: State<String>, #[allow(unused)] run: RunContext) -> () {}

#[runnel::crontab(
    "45 17 * * MON-FRI",
    timezone = "Europe/London",
    on_leader,
    missed = "latest",
    max_lateness = "5m",
    delivery = "at_least_once",
    name = "close_of_business"
)]
async fn close(run: RunContext) -> Result<()> {
    drop(run);
    Ok(())
}

#[runnel::crontab("@hourly", missed = "all(60)")]
async fn hourly() {}

#[runnel::crontab("*/10 * * * * *", missed = all(60), delivery = "at_most_once")]
async fn by_seconds() {}

#[runnel::crontab("@daily", missed = "skip")]
async fn daily() {}

/// Jobs in a module of their own.
pub mod jobs {
    /// Visible.
    #[runnel::task]
    #[inline]
    pub async fn r#match() {}

    #[runnel::timer(interval = "1h")]
    #[deprecated]
    pub(crate) async fn outdated(super::Alias(_run): super::Alias) {}
}

/// A parameter of one's own.
#[derive(Debug)]
pub struct Alias(RunContext);

impl runnel::job::JobExtract for Alias {
    fn extract(parts: &runnel::job::JobParts<'_>) -> Result<Self> {
        RunContext::extract(parts).map(Self)
    }
}

macro_rules! jobs_of {
    ($timer:ident, $crontab:ident, $interval:literal, $spec:literal, $ty:ty) => {
        #[runnel::timer(interval = $interval)]
        async fn $timer(_: $ty) {}

        #[runnel::crontab($spec, timezone = "UTC")]
        async fn $crontab(_: $ty) {}
    };
}

jobs_of!(timer_through_a_macro, crontab_through_a_macro, "5s", "0 3 * * *", RunContext);

fn names(app: &App) -> Vec<String> {
    let all = format!("{app:?}");
    all.split("JobSpec { name: \"").skip(1).filter_map(|job| Some(job.split_once('"')?.0.to_owned())).collect()
}

fn main() {
    assert_eq!(
        names(&App::new("shop")),
        [
            "warm_up",
            "migrate",
            "without_options",
            "ping",
            "pong",
            "close_of_business",
            "hourly",
            "by_seconds",
            "daily",
            "match",
            "outdated",
            "crontab_through_a_macro",
            "timer_through_a_macro"
        ]
    );
    assert_eq!(names(&App::bare("shop").with::<ping>().with::<jobs::r#match>()), ["ping", "match"]);

    // The functions are still functions.
    drop(warm_up());
    drop(by_seconds());
}
