//! Every way to write a job on demand, and what it is given.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![forbid(unsafe_code)]

use runnel::{App, Result, RunContext, State};
use serde::{Deserialize, Serialize};

/// With every option there is.
#[runnel::job(
    name = "nightly_ingest",
    retry = backoff(max_attempts = 5, multiplier = 2, min = "1s", max = "10s"),
    retry_steps = ["load", "normalize"],
    store_trace_info = "archive",
    run_from_clean_folder,
    timeout = "30m",
    tag = "nightly",
    exception_policy = "ignore",
)]
async fn ingest(run: RunContext, limit: State<u64>, day: u32, mut regions: Vec<String>) -> Result<()> {
    let rows: u64 = run.step("extract", async { Ok::<_, runnel::Error>(u64::from(day) + *limit) }).await?;
    regions.sort();
    run.step("load", async { Ok::<_, runnel::Error>(rows) }).await?;
    Ok(())
}

#[runnel::job]
async fn without_options() {}

#[runnel::job(retry = none, store_trace_info, run_from_clean_folder = false)]
async fn once() -> Result {
    Ok(())
}

#[runnel::job(retry = fixed(max_attempts = 3), store_trace_info = false, retry_steps = [])]
async fn at_once_again() {}

#[runnel::job(retry = fixed(wait = "250ms", max_attempts = 3), store_trace_info = true, run_from_clean_folder = true)]
async fn after_a_while() {}

#[runnel::job(retry = backoff(max_attempts = 1, multiplier = 0.5, min = "1s", max = "1s"))]
async fn half_a_second() {}

/// An input of one's own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Night {
    /// Which one.
    pub day: u32,
}

/// Jobs in a module of their own.
pub mod jobs {
    /// Visible.
    #[runnel::job(tag = "nights")]
    pub async fn r#match(night: super::Night) {
        let _ = night.day;
    }
}

macro_rules! job_of {
    ($name:ident, $attempts:literal, $wait:literal, $ty:ty) => {
        #[runnel::job(retry = fixed(max_attempts = $attempts, wait = $wait))]
        async fn $name(_run: RunContext, given: $ty) {
            drop(given);
        }
    };
}

job_of!(through_a_macro, 2, "5s", String);

fn main() {
    let app = format!("{:?}", App::new("shop"));
    for name in
        ["nightly_ingest", "without_options", "once", "at_once_again", "half_a_second", "match", "through_a_macro"]
    {
        assert!(app.contains(&format!("JobSpec {{ name: \"{name}\"")), "{name}: {app}");
    }

    // What each is given is known by its type.
    let app = App::bare("shop").state(7_u64);
    drop(app.job::<ingest>().run((20261122, vec!["north".to_owned()])));
    drop(app.job::<once>().run(()));
    drop(app.job::<jobs::r#match>().run(Night { day: 1 }));
    drop(app.job::<through_a_macro>().run("x".to_owned()));

    // The functions are still functions.
    drop((without_options(), at_once_again(), after_a_while(), half_a_second()));
}
