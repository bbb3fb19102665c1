//! What the tests stand on: a job of three steps that fail as they are told to, and a book of what was done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use runnel::prelude::*;
use runnel::runs::Stores;
use runnel::{DeclaredJob, Error, RetryPolicy, Runner};

/// What happened, in order, with the seconds since the book was opened.
#[derive(Clone)]
pub struct Book {
    opened: runnel::clock::Instant,
    lines: Arc<Mutex<Vec<(String, u64)>>>,
    /// How often each step is still to fail, and how.
    failing: Arc<Mutex<HashMap<String, (u32, Failing)>>>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Failing {
    Plainly,
    Terminally,
    ByPanic,
    /// It never ends.
    ByHanging,
}

impl Book {
    pub fn new() -> Self {
        Self { opened: runnel::clock::now(), lines: Arc::default(), failing: Arc::default() }
    }

    pub fn fails(self, step: &str, times: u32, how: Failing) -> Self {
        self.failing.lock().unwrap().insert(step.to_owned(), (times, how));
        self
    }

    pub fn note(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push((line.into(), runnel::clock::now().since(self.opened).as_secs()));
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }

    /// When a line was written, each time.
    pub fn times(&self, line: &str) -> Vec<u64> {
        self.lines.lock().unwrap().iter().filter(|(other, _)| other == line).map(|(_, at)| *at).collect()
    }

    /// Does a step, or fails as it was told to.
    pub async fn work(&self, step: &str) -> Result<String, Error> {
        self.note(step);
        let how = self.failing.lock().unwrap().get_mut(step).and_then(|(times, how)| {
            let fails = *times > 0;
            *times = times.saturating_sub(1);
            fails.then_some(*how)
        });
        match how {
            None => Ok(format!("{step}ed")),
            Some(Failing::Plainly) => Err(format!("no luck with {step}").into()),
            Some(Failing::Terminally) => Err(runnel::Terminal("no such table").into()),
            Some(Failing::ByPanic) => panic!("{step} went up in smoke"),
            Some(Failing::ByHanging) => std::future::pending().await,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Night {
    pub day: u32,
}

pub fn night(day: u32) -> Night {
    Night { day }
}

/// An app with the job `ingest`: extract, normalize, load.
pub fn app(book: &Book, change: impl FnOnce(DeclaredJob<'_>)) -> App {
    let (mut app, book) = (App::bare("shop"), book.clone());
    let job = app.on_demand(move |run: RunContext, night: Night| {
        let book = book.clone();
        async move {
            book.note(format!("run of {}", night.day));
            for step in ["extract", "normalize", "load"] {
                let done: String = run.step(step, book.work(step)).await?;
                assert_eq!(done, format!("{step}ed"));
            }
            Ok::<(), Error>(())
        }
    });
    change(job.name("ingest").dag("extract normalize load"));
    app
}

pub fn fixed(max_attempts: u32) -> RetryPolicy {
    RetryPolicy::fixed(max_attempts, Duration::from_secs(1))
}

/// The job of that app, straight into these stores.
pub fn into(app: &App, stores: &Stores) -> Runner {
    app.job_named("ingest").store(stores.clone())
}
