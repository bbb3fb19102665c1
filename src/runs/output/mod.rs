//! What a run printed: its lines, by the id of the run, and how it ended.
//!
//! A [`LogStore`] keeps lines of two channels for each run, numbered from 0, and one [`RunMetadata`], whose terminal
//! status says that no more lines come. Lines do not go through Redis: there are too many of them, and who reads them
//! mostly reads them where they were written. [`capture`] is how they get here from `tracing` and from user code, [`RunCommand`]
//! how they get here from child processes.
//!
//! What a line is, is the same in every store: text without its line break and without carriage returns at its end, at
//! most 64 KiB of it (longer ones are split between characters), UTF-8, what is none replaced by U+FFFD.
//!
//! Stores do not decide what is worth keeping for how long, except for [`FileLogStore::maintain`], and they do not know
//! who may read: that is for the faces above.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::{RunId, Status, UnknownWord};
use crate::clock::UnixMs;

mod buffered;
pub mod capture;
mod command;
mod composite;
mod file;
mod handle;
mod keeping;
mod lines;
mod memory;
mod pump;
#[cfg(feature = "gzip")]
mod shipping;

pub use buffered::BufferedLogStore;
pub use command::{CommandError, ExitReport, RunCommand};
pub use composite::CompositeLogStore;
pub use file::{DEFAULT_FOLDER, FileLogStore, Upkeep, UpkeepReport};
pub(crate) use handle::Resumed;
pub use handle::{RunEnd, RunOutput};
pub(crate) use keeping::{Keeping, Nowhere, SHIPPED_WITHIN, end_of};
pub use memory::MemoryLogStore;
#[cfg(feature = "gzip")]
pub use shipping::{Content, Destination, FolderDestination, ShippingLogStore};

/// Where a run printed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// What it says: events of level INFO and below, and standard output.
    Stdout,
    /// What worries it: events of level WARN and ERROR, and standard error.
    Stderr,
}

impl Channel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Its word in URLs and names of files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// One of each, by channel.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Channel {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == word)
            .ok_or_else(|| UnknownWord::new(word, "channel", "stdout, stderr".into()))
    }
}

/// Which lines of a channel, and whether to wait for more of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Goes on with lines as they are written, until the run has ended and all of them were delivered.
    pub follow: bool,
    /// The number of the first line.
    pub since_line: usize,
    /// At most so many of them, the first ones.
    pub max_lines: Option<usize>,
    /// Of what there is from `since_line` on when the stream begins, only the last so many. It goes before `max_lines`.
    pub tail: Option<usize>,
}

impl StreamOptions {
    /// All lines, as they come, to the end of the run.
    pub fn followed() -> Self {
        Self { follow: true, ..Self::default() }
    }

    /// The last lines.
    pub fn last(lines: usize) -> Self {
        Self { tail: Some(lines), ..Self::default() }
    }

    /// From this line on.
    pub fn since(mut self, line: usize) -> Self {
        self.since_line = line;
        self
    }
}

/// A line with its number in its channel, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number.
    pub number: usize,
    /// Its text, without its line break.
    pub text: String,
}

/// How a run stands, beside its lines.
///
/// It is written when the run begins, and again when it ends: then, and only then, its status is terminal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunMetadata {
    /// The run.
    pub run_id: RunId,
    /// What ran.
    pub task_name: String,
    /// How it stands.
    pub status: Status,
    /// What its command, or its program, answered.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// How long it took.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The partitions it was about.
    #[serde(default)]
    pub partitions: Vec<u32>,
    /// The last attempt.
    pub attempt: u32,
    /// The activation that it is about: from 1, one more each time the run is resumed.
    #[serde(default = "first_activation")]
    pub activation: u32,
    /// Lines of standard output.
    #[serde(default)]
    pub stdout_lines: u64,
    /// Lines of standard error.
    #[serde(default)]
    pub stderr_lines: u64,
    /// Lines that were dropped because they came faster than they could be written.
    #[serde(default)]
    pub dropped_lines: u64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RunMetadata {
    /// Of a run that begins.
    pub fn begun(run_id: RunId, task_name: impl Into<String>, attempt: u32, started_at: DateTime<Utc>) -> Self {
        Self {
            run_id,
            task_name: task_name.into(),
            status: Status::Processing,
            exit_code: None,
            started_at,
            ended_at: None,
            duration_ms: None,
            partitions: Vec::new(),
            attempt,
            activation: first_activation(),
            stdout_lines: 0,
            stderr_lines: 0,
            dropped_lines: 0,
            error: None,
        }
    }

    /// The same run, ended.
    pub fn ended(mut self, status: Status, ended_at: DateTime<Utc>) -> Self {
        self.status = status;
        self.ended_at = Some(ended_at);
        self.duration_ms = (ended_at - self.started_at).num_milliseconds().try_into().ok();
        self
    }

    /// Whether no more lines come.
    pub fn has_ended(&self) -> bool {
        self.status.is_terminal()
    }

    /// With the lines that there are: who vanished has not said how many.
    pub(crate) async fn counted_in(mut self, store: &dyn LogStore) -> Result<Self, LogError> {
        for channel in Channel::ALL {
            let lines = store.stream(&self.run_id, channel, StreamOptions::default());
            let count = lines.try_fold(0, |count, _| async move { Ok(count + 1) }).await?;
            match channel {
                Channel::Stdout => self.stdout_lines = count,
                Channel::Stderr => self.stderr_lines = count,
            }
        }
        Ok(self)
    }

    /// Whether nothing can have been kept of the run before.
    pub(crate) fn is_of_a_new_run(&self) -> bool {
        !self.has_ended() && (self.activation, self.attempt) == (1, 1)
    }

    /// Whether the run was resumed after what this says of it: elsewhere, if this is not said any more.
    pub(crate) fn is_outlived_by(&self, activation: u32) -> bool {
        self.activation < activation
    }
}

fn first_activation() -> u32 {
    1
}

/// A run of which there is a log.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLog {
    /// The run.
    pub run_id: RunId,
    /// How it stands, as far as the store knows.
    pub metadata: Option<RunMetadata>,
    /// How much room its lines take in the store.
    pub bytes: u64,
}

impl StoredLog {
    /// Whether no more lines come.
    pub fn has_ended(&self) -> bool {
        self.metadata.as_ref().is_some_and(RunMetadata::has_ended)
    }
}

/// Why lines cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no log of that run.
    #[error("there is no log of run {run} here")]
    NotFound {
        /// The run.
        run: RunId,
    },
    /// A file or folder does not do what was asked.
    #[error("failed to {doing} {place}")]
    Io {
        /// What was being done: "append to".
        doing: &'static str,
        /// To what.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is something in the folder that is not ours to write to or to read from.
    #[error("{place} is {found}, which is refused: remove it, or choose another folder with RUNNEL_LOG_DIR")]
    Refused {
        /// What is refused.
        place: String,
        /// What it is.
        found: &'static str,
    },
    /// What is stored makes no sense.
    #[error("{place} is damaged")]
    Damaged {
        /// What is damaged.
        place: String,
        /// How.
        #[source]
        source: crate::Error,
    },
    /// Another store, where logs are shipped to, does not do what was asked.
    #[error("the destination of logs failed to {doing}")]
    Destination {
        /// What was being done, to what.
        doing: String,
        /// Why.
        #[source]
        source: crate::Error,
    },
    /// This program cannot read or write gzip.
    #[error("{place} is compressed, and this program was built without the feature `gzip`")]
    NoGzip {
        /// What is compressed.
        place: String,
    },
    /// The process ends, or the run was sealed before.
    #[error("the log of run {run} takes no more: {why}")]
    Closed {
        /// The run.
        run: RunId,
        /// Why.
        why: &'static str,
    },
}

/// Lines that are read, in order.
pub type LineStream = BoxStream<'static, Result<LogLine, LogError>>;

/// Keeps what runs printed.
///
/// Appends of one caller who waits for each stay in order. What was appended when an append returned is seen by readers
/// (a [`BufferedLogStore`] makes them wait a little), and survives the end of this process.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// Appends lines. An append of no lines makes the log of the run known.
    ///
    /// A text with line breaks in it is several lines.
    async fn append(&self, run: &RunId, channel: Channel, lines: &[&str]) -> Result<(), LogError>;

    /// Reads lines. Of a run that is not there, the stream is one error: [`LogError::NotFound`].
    fn stream(&self, run: &RunId, channel: Channel, options: StreamOptions) -> LineStream;

    /// Writes how a run stands. A terminal status closes its log: followers end.
    async fn write_metadata(&self, run: &RunId, metadata: &RunMetadata) -> Result<(), LogError>;

    /// How a run stands; `None` if there is no word of that.
    async fn read_metadata(&self, run: &RunId) -> Result<Option<RunMetadata>, LogError>;

    /// All runs of which there is a log, in order of their ids.
    async fn list(&self) -> Result<Vec<StoredLog>, LogError>;

    /// Removes the log of a run; answers whether there was one.
    async fn delete(&self, run: &RunId) -> Result<bool, LogError>;

    /// Waits until what was taken lies where it shall stay: buffers are written, shipments have arrived.
    async fn flush(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Finds out whether lines can be kept at all. Asked once, before a worker starts: later a store that fails does not
    /// fail what runs.
    async fn prepare(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Lets go of a run that this process writes to no more, whether or not it has ended: another may take it for
    /// [abandoned](FileLogStore::abandoned) then.
    fn release(&self, run: &RunId) {
        let _ = run;
    }

    /// What is to be done now and then: closes what a crash has left open, compresses and removes what is due. At the
    /// start of a worker, and then every hour. Who keeps lines elsewhere has nothing to do.
    async fn tend(&self, upkeep: Upkeep, now: UnixMs) -> Result<(), LogError> {
        let _ = (upkeep, now);
        Ok(())
    }

    /// Appends a line to standard output.
    async fn append_stdout(&self, run: &RunId, line: &str) -> Result<(), LogError> {
        self.append(run, Channel::Stdout, &[line]).await
    }

    /// Appends a line to standard error.
    async fn append_stderr(&self, run: &RunId, line: &str) -> Result<(), LogError> {
        self.append(run, Channel::Stderr, &[line]).await
    }

    /// Reads lines of standard output.
    fn stream_stdout(&self, run: &RunId, options: StreamOptions) -> LineStream {
        self.stream(run, Channel::Stdout, options)
    }

    /// Reads lines of standard error.
    fn stream_stderr(&self, run: &RunId, options: StreamOptions) -> LineStream {
        self.stream(run, Channel::Stderr, options)
    }
}
