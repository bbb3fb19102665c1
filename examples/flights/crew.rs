//! The worker processes: started, stopped, killed, paused; and never left behind.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use runnel::clock;
use runnel::prelude::*;
use runnel::settings::RedisUrl;
use rustix::process::{Pid, Signal, kill_process};

use super::options::{Options, Pace};

/// How often a process is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// The variable that tells a child the id of its parent.
const PARENT: &str = "FLIGHTS_PARENT";

/// What this run's processes are told.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) url: RedisUrl,
    pub(crate) prefix: String,
    pub(crate) pace: Pace,
    pub(crate) lock_expiry: Option<Duration>,
}

impl Terms {
    pub(crate) fn of(url: &RedisUrl, prefix: &str, options: &Options) -> Self {
        let lock_expiry = options.trouble.lock_expiry();
        Self { url: url.clone(), prefix: prefix.to_owned(), pace: options.pace, lock_expiry }
    }

    /// This program again, with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(arguments)
            .env("RUNNEL_REDIS_URL", self.url.expose())
            .env("RUNNEL_KEY_PREFIX", &self.prefix)
            .env(Pace::VARIABLE, self.pace.micros().to_string())
            .env(PARENT, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if std::env::var_os("RUNNEL_LOG_LEVEL").is_none() {
            command.env("RUNNEL_LOG_LEVEL", "error");
        }
        if let Some(expiry) = self.lock_expiry {
            command.env("RUNNEL_DEFAULT_LOCK_EXPIRY", format!("{}ms", expiry.as_millis()));
        }
        Ok(command)
    }
}

/// In a child: ends this process when its parent is gone, however that ended.
pub(crate) fn end_with_the_parent() {
    #[cfg(target_os = "linux")]
    if let Some(parent) = std::env::var_os(PARENT) {
        let asked = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        let is_there = rustix::process::getppid().is_some_and(|pid| *pid.as_raw_nonzero().to_string() == *parent);
        // It may have gone before the kernel was asked.
        if asked.is_ok() && !is_there {
            std::process::exit(1);
        }
    }
}

/// A child process. Dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(mut command: Command) -> std::io::Result<Self> {
        command.spawn().map(Self)
    }

    /// The child's end of a pipe to it, once.
    pub(crate) fn take_stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.0.stdin.take()
    }

    pub(crate) fn has_ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Waits until it has ended. Safe to drop.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            clock::sleep(LOOK).await;
        }
    }

    pub(crate) fn send(&self, signal: Signal) {
        // One that has just ended cannot be told anything, and need not be.
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail for one that was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The workers of one run.
pub(crate) struct Crew {
    terms: Terms,
    pub(crate) workers: Vec<Worker>,
    hired: usize,
}

/// One worker process.
pub(crate) struct Worker {
    /// For people: the third one to be started is 3.
    pub(crate) number: usize,
    pub(crate) process: Process,
}

impl Crew {
    pub(crate) fn start(terms: Terms, workers: usize) -> runnel::Result<Self> {
        let mut crew = Self { terms, workers: Vec::new(), hired: 0 };
        for _ in 0..workers {
            crew.hire()?;
        }
        Ok(crew)
    }

    /// Starts one more worker and answers its number.
    pub(crate) fn hire(&mut self) -> runnel::Result<usize> {
        let process = Process::start(self.terms.command(&["worker", "--processors", "summarise"])?)?;
        self.hired += 1;
        self.workers.push(Worker { number: self.hired, process });
        Ok(self.hired)
    }

    /// An error if a worker has ended that nobody ended.
    pub(crate) fn look(&mut self) -> runnel::Result {
        for worker in &mut self.workers {
            if let Some(status) = worker.process.has_ended()? {
                return Err(format!("worker {} has ended by itself: {status}", worker.number).into());
            }
        }
        Ok(())
    }

    /// Stops all of them gracefully.
    pub(crate) async fn dismiss(mut self) -> runnel::Result {
        for worker in &self.workers {
            // In this order: one that is paused hears nothing.
            worker.process.send(Signal::CONT);
            worker.process.send(Signal::TERM);
        }
        for worker in &mut self.workers {
            worker.drained().await?;
        }
        Ok(())
    }
}

impl Worker {
    /// Waits for a worker that was told to drain. Safe to drop.
    pub(crate) async fn drained(&mut self) -> runnel::Result {
        match self.process.ended().await? {
            status if status.success() => Ok(()),
            // It had not come to listen to signals yet, and so had not begun anything either.
            status if status.signal() == Some(Signal::TERM.as_raw()) => Ok(()),
            status => Err(format!("worker {} should have drained and ended with: {status}", self.number).into()),
        }
    }
}
