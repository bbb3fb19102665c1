//! The worker of these tests: this very binary, started again as a process of its own.

use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runnel::clock;
use runnel::prelude::*;

pub(crate) const APP: &str = "volume";
pub(crate) const PARTITION_SIZE: u64 = 5_000;
pub(crate) const KEYS: u32 = 10_000;
/// The handler pauses so long for every so many events: a thousand events a second in a partition at most.
pub(crate) const PACE: Duration = Duration::from_millis(10);
pub(crate) const PACED: u64 = 10;
/// What a worker may read ahead, of large events.
pub(crate) const AHEAD: u64 = 16 << 20;

/// The variables that make this binary a worker: what kind, on which server, and where to write what was handled.
const KIND: &str = "VOLUME_TEST_WORKER";
const URL: &str = "VOLUME_TEST_URL";
const JOURNAL: &str = "VOLUME_TEST_JOURNAL";

/// One of many.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) key: u32,
    pub(crate) seq: u64,
    text: String,
}

impl Event {
    pub(crate) fn number(seq: u64) -> Self {
        // Neighbours have different keys, and a key's numbers are far apart.
        Self { key: (seq.wrapping_mul(7_919) % u64::from(KEYS)) as u32, seq, text: "x".repeat(120) }
    }
}

/// A large one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bulk {
    seq: u64,
    text: String,
}

impl Bulk {
    pub(crate) fn number(seq: u64) -> Self {
        Self { seq, text: "x".repeat(1_000_000) }
    }
}

pub(crate) fn events() -> Stream<Event> {
    Stream::new("events", |event: &Event| event.key.into()).partitions(16).partition_size(PARTITION_SIZE)
}

pub(crate) fn bulk() -> Stream<Bulk> {
    Stream::new("bulk", |event: &Bulk| event.seq.into()).partitions(16)
}

/// What a worker does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Handles `events`, at its pace.
    Steady,
    /// Handles `bulk`, a little slower than it is read.
    Bulk,
}

/// A worker in a process of its own. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    journal: tempfile::NamedTempFile,
}

impl Process {
    pub(crate) fn start(kind: Kind, url: &str) -> Self {
        let journal = tempfile::NamedTempFile::new().unwrap();
        let test = match kind {
            Kind::Steady => "a_long_backlog_passes_through_flat_workers_and_holds_its_sender_back",
            Kind::Bulk => "events_of_a_megabyte_stay_within_what_may_be_read_ahead",
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::null());
        command.env(KIND, format!("{kind:?}")).env(URL, url).env(JOURNAL, journal.path());
        Self { child: command.spawn().unwrap(), journal }
    }

    /// Resident now, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that was ever resident.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Lets it drain, and answers what it handled.
    pub(crate) fn end(mut self) -> Vec<Event> {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success(), "a worker failed");
        let bytes = std::fs::read(self.journal.path()).unwrap();
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let event =
            |line: &[u8]| Event { key: number(&line[..8]) as u32, seq: number(&line[8..]), text: String::new() };
        bytes.chunks_exact(16).map(event).collect()
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
pub(crate) fn run_if_told() -> bool {
    let Ok(kind) = std::env::var(KIND) else { return false };
    let path = PathBuf::from(std::env::var_os(JOURNAL).unwrap());
    let journal = Journal(Arc::new(Mutex::new(BufWriter::new(std::fs::File::create(path).unwrap()))));
    let app = App::bare(APP).redis(std::env::var(URL).unwrap()).setting("prefetch_bytes", AHEAD.to_string());
    let app = match kind.as_str() {
        "Steady" => steady(app, journal.clone()),
        _ => large(app, journal.clone()),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let connected = app.connect().await.unwrap();
        let end_of_input = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        connected.work_until(async { _ = end_of_input.await }).await.unwrap();
    });
    journal.0.lock().unwrap().flush().unwrap();
    true
}

fn steady(mut app: App, journal: Journal) -> App {
    let handler = move |event: Event| {
        journal.note(event.key, event.seq);
        async move {
            if event.seq.is_multiple_of(PACED) {
                clock::sleep_until(clock::now() + PACE).await;
            }
        }
    };
    app.processor(&events(), handler).name("worker");
    app
}

fn large(mut app: App, journal: Journal) -> App {
    let handler = move |event: Bulk| {
        journal.note(0, event.seq);
        async move { clock::sleep_until(clock::now() + Duration::from_millis(20)).await }
    };
    app.processor(&bulk(), handler).name("worker");
    app
}

/// What was handled, in the order of handling.
#[derive(Clone)]
struct Journal(Arc<Mutex<BufWriter<std::fs::File>>>);

impl Journal {
    fn note(&self, key: u32, seq: u64) {
        let mut file = self.0.lock().unwrap();
        file.write_all(&u64::from(key).to_le_bytes()).and_then(|()| file.write_all(&seq.to_le_bytes())).unwrap();
    }
}
