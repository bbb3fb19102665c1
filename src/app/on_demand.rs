//! Jobs on demand of an app: what `#[runnel::job]` writes, and the same without it.

use std::sync::Arc;

use crate::job::{JobCall, OnDemandFunction, Plan, RetryPolicy, TraceInfo, When};
use crate::runs::{RunLogStore, RunObserver};

use super::{App, DeclaredJob, function_name};

impl App {
    /// Adds a job on demand: a function that is run when it is asked for, from code or by `jobs run`, in the process that
    /// asks. It is tried again by its policy, step by step: see [`RunContext::step`](crate::RunContext::step).
    ///
    /// It takes `RunContext` and `State<T>` as other jobs do, and one value more as its input.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// use runnel::RetryPolicy;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Night { day: u32 }
    ///
    /// # runnel::testing::run(async {
    /// let mut app = App::bare("shop").redis("memory://");
    /// app.on_demand(async |run: RunContext, night: Night| -> Result<()> {
    ///     let rows: u64 = run.step("extract", async { Ok::<_, runnel::Error>(u64::from(night.day) * 10) }).await?;
    ///     run.step("load", async { println!("{rows} rows"); Ok::<_, runnel::Error>(()) }).await
    /// })
    /// .name("ingest")
    /// .retry(RetryPolicy::backoff(5, 2, Duration::from_secs(1), Duration::from_secs(10)));
    ///
    /// let report = app.job_named("ingest").run(Night { day: 22 }).await.unwrap();
    /// assert!(report.is_well());
    /// # });
    /// ```
    #[track_caller]
    pub fn on_demand<P: 'static, F: OnDemandFunction<P>>(&mut self, function: F) -> DeclaredJob<'_> {
        self.add_job(When::OnDemand, function_name::<F>(), JobCall::on_demand(function))
    }

    /// Has somebody look on while jobs on demand of this app run.
    pub fn observer(mut self, observer: impl RunObserver) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }

    /// Gives a store of traces a name, for jobs with `store_trace_info` = that name.
    pub fn trace_store(mut self, name: impl Into<String>, store: impl RunLogStore + 'static) -> Self {
        self.trace_stores.0.insert(name.into(), Arc::new(store));
        self
    }
}

impl DeclaredJob<'_> {
    /// Changes what only jobs on demand have; on others it is a mistake that is told at start.
    fn set_plan(self, what: &str, change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan::default();
        change(&mut plan);
        let declared = self.set_when(what, "jobs on demand", |when| matches!(when, When::OnDemand));
        declared.set(|job| {
            let Plan { retry, retry_steps, store_trace_info, run_from_clean_folder, tag, dag } = plan;
            let own = &mut job.plan;
            own.retry = retry.or(own.retry.take());
            own.retry_steps = retry_steps.or(own.retry_steps.take());
            own.store_trace_info = store_trace_info.or(own.store_trace_info.take());
            own.run_from_clean_folder = run_from_clean_folder.or(own.run_from_clean_folder);
            own.tag = tag.or(own.tag.take());
            if !dag.is_empty() {
                own.dag = dag;
            }
        })
    }

    /// Jobs on demand: how often a run is tried, and the waits between. Default: once.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        self.set_plan("retry", |plan| plan.retry = Some(policy))
    }

    /// Jobs on demand: the steps whose errors are worth another attempt. Errors outside of steps are. Default: `load`.
    pub fn retry_steps<S: Into<String>>(self, steps: impl IntoIterator<Item = S>) -> Self {
        let steps = steps.into_iter().map(Into::into).collect();
        self.set_plan("retry_steps", |plan| plan.retry_steps = Some(steps))
    }

    /// Jobs on demand: where the trace of each attempt is stored beside the run's own document: `true` for the app's run
    /// log store, under the task name `<job>_trace`, or the name of another ([`App::trace_store`]). Default: nowhere.
    pub fn store_trace_info(self, place: impl Into<TraceInfo>) -> Self {
        let place = place.into();
        self.set_plan("store_trace_info", |plan| plan.store_trace_info = Some(place))
    }

    /// Jobs on demand: the job's folder is emptied before each run, but for its traces, and a run that was left unfinished
    /// is given up. Default: what is in it stays.
    pub fn run_from_clean_folder(self) -> Self {
        self.set_plan("run_from_clean_folder", |plan| plan.run_from_clean_folder = Some(true))
    }

    /// Jobs on demand: what its runs are filed under.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        self.set_plan("tag", |plan| plan.tag = Some(tag))
    }

    /// Jobs on demand: what it does, in words of your own. A run that began with others cannot be resumed, so change them
    /// when what its steps answer means something else. `#[runnel::job]` takes the names of the steps that it can see.
    pub fn dag(self, words: impl Into<String>) -> Self {
        let words = words.into();
        self.set_plan("dag", |plan| plan.dag = words)
    }
}
