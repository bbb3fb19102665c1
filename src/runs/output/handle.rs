//! The way of a run's lines into its log: one bounded queue and one task that empties it, for each run.
//!
//! Who can wait does ([`RunOutput::stdout`], child processes): nothing is lost, and a slow disk slows the run down. Who
//! cannot, such as a layer of `tracing`, offers: what does not fit is counted, and said in the log where it is missing. The
//! queue is bounded in lines and in bytes, so that a run which prints faster than the disk takes it costs no memory.
//!
//! A store that fails does not fail the run: lines that could not be written are counted as dropped, and it is said once.
//! When the last handle goes without [`seal`](RunOutput::seal), the task ends with it, as it would in a crash.
//!
//! A run that is resumed goes on in the log it has. If that lies elsewhere, the first line here says where.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::lines::{LONGEST, pieces};
use super::pump::Pump;
use super::{Channel, LogError, LogStore, RunMetadata};
use crate::clock::{self, UnixMs};
use crate::runs::{RunId, Status, WorkerRef};
use crate::tasks::{Gate, Tasks};

/// How many lines wait.
const LINES: usize = 8192;
/// How many bytes wait. Much less than what that many of the longest lines would take.
const BYTES: usize = 4 * 1024 * 1024;
/// What a line takes beside its text.
const OF_A_LINE: usize = 64;

/// What a run prints, on its way to a [`LogStore`]. Clones are the same run.
#[derive(Clone, Debug)]
pub struct RunOutput(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    run: RunId,
    task_name: String,
    attempt: AtomicU32,
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    /// Lines that did not fit since the last one that did, by channel.
    missing: Arc<[AtomicU64; 2]>,
    exit_code: AtomicI64,
    sealed: AtomicBool,
    started_at: DateTime<Utc>,
    /// Ends with the last handle.
    _pump: Mutex<Tasks>,
}

#[derive(Debug)]
pub(super) enum Message {
    Line(QueuedLine),
    Seal { end: RunEnd, attempt: u32, answer: oneshot::Sender<Result<RunMetadata, LogError>> },
}

#[derive(Debug)]
pub(super) struct QueuedLine {
    pub(super) channel: Channel,
    pub(super) text: String,
    /// Lines that are missing before it.
    pub(super) missing: u64,
    _room: OwnedSemaphorePermit,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// How it stands now. A status that is not terminal counts as a failure.
    pub status: Status,
    /// What it answered; else what its last command did.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub error: Option<String>,
    /// The partitions it was about.
    pub partitions: Vec<u32>,
}

impl RunEnd {
    /// Nothing is known but this.
    pub fn new(status: Status) -> Self {
        Self { status, exit_code: None, error: None, partitions: Vec::new() }
    }

    /// With what it answered.
    pub fn exit_code(mut self, code: Option<i32>) -> Self {
        self.exit_code = code;
        self
    }

    /// With why it failed.
    pub fn error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }
}

/// What goes on where a run is resumed.
#[derive(Clone, Debug)]
pub(crate) struct Resumed {
    /// The activation that begins.
    pub(crate) activation: u32,
    /// Who had the one before it.
    pub(crate) last: WorkerRef,
}

/// No exit code is this one.
const NO_CODE: i64 = i64::MAX;

impl RunOutput {
    /// Begins the log of a run, or goes on with it. It must be called within a tokio runtime.
    pub fn begin(store: Arc<dyn LogStore>, run_id: RunId, task_name: impl Into<String>, attempt: u32) -> Self {
        Self::start(store, run_id, task_name.into(), attempt, None)
    }

    /// Goes on with the log of a run that is resumed, or begins another one if it is elsewhere.
    pub(crate) fn resume(
        store: Arc<dyn LogStore>,
        run_id: RunId,
        task_name: impl Into<String>,
        attempt: u32,
        resumed: Resumed,
    ) -> Self {
        Self::start(store, run_id, task_name.into(), attempt, Some(resumed))
    }

    fn start(
        store: Arc<dyn LogStore>,
        run_id: RunId,
        task_name: String,
        attempt: u32,
        resumed: Option<Resumed>,
    ) -> Self {
        let started_at = time(clock::wall());
        let (queue, messages) = mpsc::channel(LINES);
        let missing = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let mut begun = RunMetadata::begun(run_id.clone(), task_name.clone(), attempt, started_at);
        begun.activation = resumed.as_ref().map_or(begun.activation, |resumed| resumed.activation);
        let last = resumed.map(|resumed| resumed.last);
        let pump = Pump { store, metadata: begun, last, messages, missing: missing.clone(), warned: false };
        let mut tasks = Tasks::behind(&Gate::default());
        tasks.start(pump.run());
        Self(Arc::new(Shared {
            run: run_id,
            task_name,
            attempt: AtomicU32::new(attempt),
            queue,
            room: Arc::new(Semaphore::new(BYTES)),
            missing,
            exit_code: AtomicI64::new(NO_CODE),
            sealed: AtomicBool::new(false),
            started_at,
            _pump: Mutex::new(tasks),
        }))
    }

    /// The run.
    pub fn run_id(&self) -> &RunId {
        &self.0.run
    }

    /// What runs.
    pub fn task_name(&self) -> &str {
        &self.0.task_name
    }

    /// The attempt that runs just now.
    pub fn attempt(&self) -> u32 {
        self.0.attempt.load(Ordering::Relaxed)
    }

    /// Another attempt begins.
    pub fn set_attempt(&self, attempt: u32) {
        self.0.attempt.store(attempt, Ordering::Relaxed);
    }

    /// When the run, or this activation of it, began.
    pub fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }

    /// What the last command answered: it is the run's exit code unless [`RunEnd`] has one.
    pub fn set_exit_code(&self, code: i32) {
        self.0.exit_code.store(code.into(), Ordering::Relaxed);
    }

    /// Prints to standard output. Waits while the queue is full.
    pub async fn stdout(&self, line: &str) -> Result<(), LogError> {
        self.print(Channel::Stdout, line).await
    }

    /// Prints to standard error. Waits while the queue is full.
    pub async fn stderr(&self, line: &str) -> Result<(), LogError> {
        self.print(Channel::Stderr, line).await
    }

    /// Prints; a text with line breaks in it is several lines. Waits while the queue is full.
    pub async fn print(&self, channel: Channel, text: &str) -> Result<(), LogError> {
        for piece in pieces(text) {
            let room = self.0.room.clone().acquire_many_owned(room_of(piece)).await;
            let room = room.expect("the room is never closed");
            let slot = self.0.queue.reserve().await.map_err(|_| self.closed())?;
            slot.send(self.line(channel, piece, room));
        }
        Ok(())
    }

    /// Prints if there is room in the queue; answers whether there was. What does not fit is counted. It never blocks.
    pub fn offer(&self, channel: Channel, text: &str) -> bool {
        // Each is offered, also after one that did not fit.
        pieces(text).filter(|piece| !self.offer_line(channel, piece)).count() == 0
    }

    fn offer_line(&self, channel: Channel, piece: &str) -> bool {
        let slot = self.0.queue.try_reserve();
        let room = self.0.room.clone().try_acquire_many_owned(room_of(piece));
        match (slot, room) {
            (Ok(slot), Ok(room)) => {
                slot.send(self.line(channel, piece, room));
                true
            }
            // Nobody counts any more.
            (Err(TrySendError::Closed(())), _) => false,
            (Err(TrySendError::Full(())), _) | (_, Err(_)) => {
                self.0.missing[channel.index()].fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    fn line(&self, channel: Channel, text: &str, room: OwnedSemaphorePermit) -> Message {
        let missing = self.0.missing[channel.index()].swap(0, Ordering::Relaxed);
        Message::Line(QueuedLine { channel, text: text.to_owned(), missing, _room: room })
    }

    /// Ends the log: waits until every line is written, then writes how the run ended. What is printed later is lost.
    pub async fn seal(&self, end: RunEnd) -> Result<RunMetadata, LogError> {
        if self.0.sealed.swap(true, Ordering::Relaxed) {
            return Err(self.closed());
        }
        let code = self.0.exit_code.load(Ordering::Relaxed);
        let end = RunEnd { exit_code: end.exit_code.or(i32::try_from(code).ok()), ..end };
        let (answer, answered) = oneshot::channel();
        let sealed = self.0.queue.send(Message::Seal { end, attempt: self.attempt(), answer }).await;
        sealed.map_err(|_| self.closed())?;
        answered.await.map_err(|_| self.closed())?
    }

    fn closed(&self) -> LogError {
        LogError::Closed { run: self.0.run.clone(), why: "it was sealed, or its process ends" }
    }
}

fn room_of(piece: &str) -> u32 {
    u32::try_from(piece.len().min(LONGEST) + OF_A_LINE).expect("a line is short")
}

pub(super) fn time(at: UnixMs) -> DateTime<Utc> {
    i64::try_from(at).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}
