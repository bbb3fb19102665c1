//! A worker in a process of its own: the benchmark's binary, started again. What it costs is its own cost, and it can be
//! killed.
//!
//! It works one stream off and says of each event how old it was when its handler was called.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use runnel::App;
use runnel::prelude::*;
use rustix::time::{ClockId, clock_gettime};

/// What it works on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ground {
    pub(crate) port: u16,
    pub(crate) app: String,
    pub(crate) partitions: u32,
    pub(crate) lease: Duration,
    /// Whether runs are written down, and projected by a processor of runnel's own.
    pub(crate) task_log: bool,
}

/// An event that knows when it was sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) number: u64,
    sent: Duration,
}

impl Letter {
    pub(crate) fn now(number: u64) -> Self {
        Self { number, sent: now() }
    }
}

/// The same clock in all processes of the machine.
pub(crate) fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

impl Ground {
    pub(crate) fn letters(&self) -> Stream<Letter> {
        Stream::new("letters", |letter: &Letter| letter.number.into()).partitions(self.partitions)
    }

    pub(crate) fn app(&self) -> App {
        let lease = format!("{}ms", self.lease.as_millis());
        let app = App::bare(&self.app).redis(format!("redis://127.0.0.1:{}", self.port));
        let policy = if self.task_log { "quarantine" } else { "off" };
        app.setting("default_lock_expiry", lease).setting("task_log_policy", policy)
    }

    /// The fences of all its partitions.
    pub(crate) fn fences(&self) -> impl Iterator<Item = String> {
        (0..self.partitions).map(|n| format!("__own:{{{}.letters.{}}}.{n}.worker", self.app, n % 16))
    }
}

/// A running worker. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// The ages of events, as they are handled.
    pub(crate) ages: mpsc::Receiver<Duration>,
}

/// The variable that makes this binary a worker: its ground.
const GROUND: &str = "RUNNEL_BENCH_WORKER";

impl Process {
    pub(crate) fn start(ground: &Ground) -> runnel::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(GROUND, serde_json::to_string(ground)?).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or("its output was asked to be a pipe")?;
        let (say, ages) = mpsc::channel();
        std::thread::spawn(move || {
            let numbers = BufReader::new(output).lines().map_while(Result::ok).filter_map(|line| line.parse().ok());
            numbers.map(Duration::from_micros).try_for_each(|age| say.send(age))
        });
        Ok(Self { child, ages })
    }

    /// Resident now, in bytes.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("its status does not say what it uses"))
    }

    /// Time on a processor so far: precise where the kernel keeps schedstat.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut spent = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let line = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            spent += Duration::from_nanos(line.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0));
        }
        Ok(spent)
    }

    /// Tells it to drain.
    pub(crate) fn tell_to_drain(&mut self) {
        drop(self.child.stdin.take());
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended by itself is no trouble.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child process: works until the parent closes our input. False in the parent.
pub(crate) fn run_if_told() -> runnel::Result<bool> {
    let Ok(ground) = std::env::var(GROUND) else { return Ok(false) };
    let ground: Ground = serde_json::from_str(&ground)?;
    let handler = |letter: Letter| {
        let age = now().saturating_sub(letter.sent).as_micros();
        let said = writeln!(io::stdout().lock(), "{age}").map_err(runnel::Error::from);
        std::future::ready(said)
    };
    let mut app = ground.app();
    app.processor(&ground.letters(), handler).name("worker");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let connected = app.connect().await?;
        let end_of_input = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0]));
        connected.work_until(async { _ = end_of_input.await }).await?;
        Ok(true)
    })
}
