//! What tests see and do of jobs, of the leader, and of the server's clock.

use std::time::Duration;

use crate::app::App;
use crate::broker::JobStop;
use crate::broker::memory::Memory;
use crate::clock::UnixMs;
use crate::witness::{Fired, Sight};

use super::{TestApp, assert_known};

impl TestApp {
    /// The same, where the server's clock says it is this time: `"2026-03-29T00:30:00Z"`. Crontabs go by that clock.
    ///
    /// # Panics
    /// If that is no time.
    pub async fn without_workers_at(time: &str, app: App) -> Self {
        Self::on(app, Memory::with_clock_at(unix_ms(time)))
    }

    /// Runs the app with one worker, where the server's clock says it is this time: `"2026-03-29T00:30:00Z"`.
    ///
    /// # Panics
    /// As [`TestApp::start`]; if that is no time.
    pub async fn at(time: &str, app: App) -> Self {
        let mut test = Self::without_workers_at(time, app).await;
        test.add_worker("worker-1").await;
        test
    }

    /// Lets time pass until the server's clock says it is this time: `"2026-03-29T02:00:00Z"`.
    ///
    /// # Panics
    /// If that is no time.
    pub async fn advance_to(&self, time: &str) {
        let ahead = unix_ms(time).saturating_sub(self.memory.snapshot().now);
        self.advance(Duration::from_millis(ahead)).await;
    }

    /// Makes the server's clock jump: no time passes. Workers notice at their next bid.
    ///
    /// # Panics
    /// If that is no time.
    pub fn set_clock(&self, time: &str) {
        let (to, now) = (unix_ms(time), self.memory.snapshot().now);
        self.memory.jump(to.cast_signed() - now.cast_signed());
    }

    /// The runs of a job so far, in the order in which they started; those that are over with their outcome.
    ///
    /// # Panics
    /// If the app has no such job.
    #[track_caller]
    pub fn fired(&self, job: &str) -> Vec<Fired> {
        assert_known("job", job, &self.names.jobs);
        let seen = self.seen.lock().expect("no code panics while it holds this lock");
        let mut runs: Vec<Fired> = Vec::new();
        for (_, sight) in seen.iter() {
            let Sight::Fired(fired) = sight else { continue };
            match runs.iter_mut().find(|run| run.run_id == fired.run_id) {
                Some(run) => *run = fired.clone(),
                None if &*fired.job == job => runs.push(fired.clone()),
                None => {}
            }
        }
        runs
    }

    /// Does what an operator does with `jobs pause`, and with `jobs resume`. Workers learn of it within a poll.
    ///
    /// # Panics
    /// If the store cannot be asked just now.
    pub async fn pause_job(&self, job: &str, paused: bool) {
        let stop = paused.then(|| JobStop { error: "paused by a test".into(), since: 0 });
        let told = self.handle.broker().stop_job(job, stop.as_ref()).await;
        told.unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// The worker that leads the fleet now, if one does.
    ///
    /// # Panics
    /// If the store cannot be asked just now.
    pub async fn leader(&self) -> Option<String> {
        let leader = self.handle.broker().leader().await.unwrap_or_else(|problem| panic!("{problem}"));
        leader.map(|entry| entry.worker)
    }
}

fn unix_ms(time: &str) -> UnixMs {
    let time =
        chrono::DateTime::parse_from_rfc3339(time).unwrap_or_else(|problem| panic!("`{time}` is no time: {problem}"));
    u64::try_from(time.timestamp_millis()).expect("a test takes place after 1970")
}
