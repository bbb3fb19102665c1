//! Jobs of an app: what `#[runnel::task]`, `#[runnel::timer]` and `#[runnel::crontab]` write, and the same without them.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{JobCall, JobFunction, JobSpec, Plan, When};
use crate::processor::DeclaredAt;
use crate::settings::ExceptionPolicy;

use crate::decide::schedule::{Delivery, Missed, Overlap};

use super::{App, function_name};

impl App {
    /// Adds a task: a function that every worker runs when it starts. With [`DeclaredJob::on_leader`] the fleet runs it
    /// once in each generation, until one run has ended with success.
    ///
    /// A generation begins when a worker joins an empty fleet, or one that runs another [`App::version`].
    #[track_caller]
    pub fn task<P: 'static, F: JobFunction<P>>(&mut self, function: F) -> DeclaredJob<'_> {
        self.add_job(When::AtStart, function_name::<F>(), JobCall::of(function))
    }

    /// Adds a timer: a function that is run every `interval`, from 1 ms up, first one interval after the start.
    ///
    /// Instants lie on a grid, so that runs do not drift however long they take.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # let mut app = App::bare("shop");
    /// app.timer(Duration::from_secs(10), async || println!("ping")).name("ping").jitter(Duration::from_secs(1));
    /// ```
    #[track_caller]
    pub fn timer<P: 'static, F: JobFunction<P>>(&mut self, interval: Duration, function: F) -> DeclaredJob<'_> {
        let when = When::Every { interval, jitter: Duration::ZERO, overlap: Overlap::Skip };
        self.add_job(when, function_name::<F>(), JobCall::of(function))
    }

    /// Adds a crontab: a function that is run at calendar instants. `spec` has 5 fields (minute, hour, day of month,
    /// month, weekday), or 6 with seconds first, or is a nickname like `@daily`.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # let mut app = App::bare("shop");
    /// app.crontab("45 17 * * MON-FRI", async |run: RunContext| println!("close of business: {:?}", run.instant()))
    ///     .name("close_of_business")
    ///     .timezone("Europe/London")
    ///     .on_leader();
    /// ```
    #[track_caller]
    pub fn crontab<P: 'static, F: JobFunction<P>>(&mut self, spec: impl Into<String>, function: F) -> DeclaredJob<'_> {
        let when = When::At {
            spec: spec.into(),
            timezone: None,
            missed: Missed::Skip,
            max_lateness: None,
            delivery: Delivery::AtMostOnce,
        };
        self.add_job(when, function_name::<F>(), JobCall::of(function))
    }

    #[track_caller]
    pub(super) fn add_job(&mut self, when: When, name: String, call: JobCall) -> DeclaredJob<'_> {
        let here = std::panic::Location::caller();
        let spec = JobSpec {
            name,
            when,
            on_leader: false,
            exception_policy: ExceptionPolicy::Ignore,
            timeout: None,
            plan: Plan::default(),
            call: Arc::new(call),
            declared_at: DeclaredAt { file: here.file(), line: here.line() },
        };
        self.jobs.push(spec);
        DeclaredJob { app: self }
    }
}

/// A job that was just added to its app.
pub struct DeclaredJob<'a> {
    app: &'a mut App,
}

impl DeclaredJob<'_> {
    pub(super) fn set(self, change: impl FnOnce(&mut JobSpec)) -> Self {
        change(self.app.jobs.last_mut().expect("it was pushed when this was made"));
        self
    }

    /// Changes what only some kinds of jobs have; on others it is a mistake that is told at start.
    pub(super) fn set_when(self, what: &str, whose: &str, change: impl FnOnce(&mut When) -> bool) -> Self {
        let Self { app } = self;
        let job = app.jobs.last_mut().expect("it was pushed when this was made");
        if !change(&mut job.when) {
            let (name, place) = (&job.name, &job.declared_at);
            app.refusals.push(format!("{} `{name}` ({place}): `{what}` is for {whose}", job.when.kind()));
        }
        Self { app }
    }

    /// Its name, in keys, commands and logs. Default: the name of its function; closures have none.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.set(|job| job.name = name.into())
    }

    /// Runs once for the whole fleet, on its leader, each instant claimed in the store before it runs. Default: on every
    /// worker.
    pub fn on_leader(self) -> Self {
        self.set(|job| job.on_leader = true)
    }

    /// What a failed run means for the job. `Ignore` (the default): the next one comes as usual. `Quarantine`: the
    /// schedule stops until `jobs resume`. `Halt`: the worker drains and exits with code 70.
    pub fn exception_policy(self, policy: ExceptionPolicy) -> Self {
        self.set(|job| job.exception_policy = policy)
    }

    /// How long a run may take; then it is ended, as a failure. Default: for ever.
    pub fn timeout(self, time: Duration) -> Self {
        self.set(|job| job.timeout = Some(time))
    }

    /// Timers: each run starts up to that much later, by chance. Default: none.
    pub fn jitter(self, time: Duration) -> Self {
        self.set_when("jitter", "timers", |when| match when {
            When::Every { jitter, .. } => {
                *jitter = time;
                true
            }
            _ => false,
        })
    }

    /// Timers: what happens when the next run is due while one runs. Default: skip it.
    pub fn overlap(self, how: Overlap) -> Self {
        self.set_when("overlap", "timers", |when| match when {
            When::Every { overlap, .. } => {
                *overlap = how;
                true
            }
            _ => false,
        })
    }

    /// Crontabs: the zone its fields are read in, by its IANA name. Default: setting `timezone`, UTC.
    pub fn timezone(self, zone: impl Into<String>) -> Self {
        self.set_when("timezone", "crontabs", |when| match when {
            When::At { timezone, .. } => {
                *timezone = Some(zone.into());
                true
            }
            _ => false,
        })
    }

    /// Crontabs: which instants are caught up with that passed while nobody could run them. Default: skip.
    pub fn missed(self, which: Missed) -> Self {
        self.set_when("missed", "crontabs", |when| match when {
            When::At { missed, .. } => {
                *missed = which;
                true
            }
            _ => false,
        })
    }

    /// Crontabs: how late an instant may still be run. Default: 60 s with `missed = skip`, else without end.
    pub fn max_lateness(self, time: Duration) -> Self {
        self.set_when("max_lateness", "crontabs", |when| match when {
            When::At { max_lateness, .. } => {
                *max_lateness = Some(time);
                true
            }
            _ => false,
        })
    }

    /// Crontabs on the leader: whether an instant is run again when its leader dies in the middle. Default: at most once.
    pub fn delivery(self, how: Delivery) -> Self {
        self.set_when("delivery", "crontabs", |when| match when {
            When::At { delivery, .. } => {
                *delivery = how;
                true
            }
            _ => false,
        })
    }

    /// Where it was declared; what the attribute macros write.
    #[doc(hidden)]
    pub fn declared_at(self, file: &'static str, line: u32) -> Self {
        self.set(|job| job.declared_at = DeclaredAt { file, line })
    }
}
