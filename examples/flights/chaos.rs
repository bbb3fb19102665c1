//! Disturbs the workers while they work, and counts what it did.

use fastrand::Rng;
use runnel::clock;
use runnel::prelude::*;
use rustix::process::Signal;

use super::crew::Crew;
use super::options::Trouble;
use super::progress::Progress;

/// What was done to the workers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disturbances {
    pub(crate) restarted: u32,
    pub(crate) killed: u32,
    pub(crate) paused: u32,
}

impl Disturbances {
    /// Whether an event may have come twice.
    pub(crate) fn were_unclean(&self) -> bool {
        self.killed + self.paused > 0
    }
}

/// Who disturbs.
pub(crate) struct Chaos<'a> {
    trouble: Trouble,
    random: Rng,
    progress: &'a Progress,
    pub(crate) done: Disturbances,
}

impl<'a> Chaos<'a> {
    pub(crate) fn new(trouble: Trouble, seed: u64, progress: &'a Progress) -> Self {
        Self { trouble, random: Rng::with_seed(seed), progress, done: Disturbances::default() }
    }

    /// Disturbs for ever, and ends only with an error: a worker that ended by itself, or could not drain.
    ///
    /// May be dropped anywhere: a worker that is paused or draining then is still one of the crew.
    pub(crate) async fn disturb(&mut self, crew: &mut Crew) -> runnel::Result {
        loop {
            self.wait(crew, 300..900).await?;
            match (self.trouble, self.done) {
                (Trouble::None, _) => {}
                (Trouble::Chaos, Disturbances { killed: 0, .. }) => self.kill(crew).await?,
                (Trouble::Chaos, Disturbances { paused: 0, restarted: 1.., .. }) => self.pause(crew).await?,
                _ => self.restart(crew).await?,
            }
        }
    }

    /// So many milliseconds, in which no worker may end.
    async fn wait(&mut self, crew: &mut Crew, ms: std::ops::Range<u64>) -> runnel::Result {
        let until = clock::now() + Duration::from_millis(self.random.u64(ms));
        while clock::now() < until {
            crew.look()?;
            clock::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn restart(&mut self, crew: &mut Crew) -> runnel::Result {
        // Not the last one, where there are others: it may not have come to listen to signals yet.
        let at = self.random.usize(..(crew.workers.len() - 1).max(1));
        let worker = &mut crew.workers[at];
        self.progress.say(&format!("stopping worker {}", worker.number));
        worker.process.send(Signal::TERM);
        worker.drained().await?;
        crew.workers.remove(at);
        self.done.restarted += 1;
        self.wait(crew, 0..500).await?;
        let number = crew.hire()?;
        self.progress.say(&format!("worker {number} takes its place"));
        Ok(())
    }

    async fn kill(&mut self, crew: &mut Crew) -> runnel::Result {
        let worker = crew.workers.remove(self.random.usize(..crew.workers.len()));
        let killed = worker.number;
        drop(worker);
        self.done.killed += 1;
        let number = crew.hire()?;
        self.progress.say(&format!("worker {killed} was killed (SIGKILL), worker {number} takes its place"));
        // Only a member that has been there for as long as leases last declares another dead.
        let expiry = self.trouble.lock_expiry().unwrap_or_default().as_millis() as u64;
        self.wait(crew, expiry * 2..expiry * 2 + 1).await
    }

    /// For longer than its leases last: others take over its partitions, and it finds itself fenced.
    async fn pause(&mut self, crew: &mut Crew) -> runnel::Result {
        let at = self.random.usize(..crew.workers.len());
        let worker = &crew.workers[at];
        let time = self.trouble.lock_expiry().unwrap_or_default() * 3 / 2;
        self.progress.say(&format!("worker {} is paused for {time:?} (SIGSTOP)", worker.number));
        worker.process.send(Signal::STOP);
        self.done.paused += 1;
        clock::sleep(time).await;
        worker.process.send(Signal::CONT);
        self.progress.say(&format!("worker {} goes on", worker.number));
        Ok(())
    }
}
