//! Where the events of runs go: into the stream `__tasks`, or straight into a store where there is no Redis.
//!
//! Either way the same events make the same documents, by the same reducer.

use async_trait::async_trait;

use super::{Alive, Beginning, CrashWatch, End, Recorder, Recording, Refused};
use crate::clock::ServerClock;
use crate::error::Failure;
use crate::runs::{EventHead, RunEvent, RunLog};

/// Something that belongs to the document of a run, but for its head.
pub(crate) type Noted = Box<dyn FnOnce(EventHead) -> RunEvent + Send>;

/// Where the events of runs go.
#[async_trait]
pub(crate) trait Journal: Send + Sync {
    /// The clock they go by.
    fn clock(&self) -> &ServerClock;

    /// Opens the page of an activation: it begins, if that can be written down or need not be.
    async fn begin(&self, beginning: Beginning) -> Result<Box<dyn Page>, Refused>;

    /// What is written from now on is later than anything in that document. Of a stream that holds by itself.
    fn continues(&self, _log: &RunLog) {}

    /// Writes the end of runs whose process is gone. `newest` is the one that is asked for: only a journal without a
    /// list of what is open looks at it.
    async fn find_crashed(&self, newest: Option<&RunLog>) -> Result<(), Failure>;
}

/// The activation of a run that is being written down.
#[async_trait]
pub(crate) trait Page: Send + Sync {
    /// Writes something that belongs to the run's document. When this returns, it is written or never will be.
    async fn note(&self, noted: Noted) -> Result<(), Failure>;

    /// The activation has ended. Called once.
    async fn end(&self, end: End) -> Result<(), Refused>;
}

struct InStream {
    recorder: Recorder,
    recording: Recording,
}

#[async_trait]
impl Journal for Recorder {
    fn clock(&self) -> &ServerClock {
        Self::clock(self)
    }

    async fn begin(&self, beginning: Beginning) -> Result<Box<dyn Page>, Refused> {
        let recording = Self::begin(self, beginning).await?;
        Ok(Box::new(InStream { recorder: self.clone(), recording }))
    }

    async fn find_crashed(&self, _: Option<&RunLog>) -> Result<(), Failure> {
        let is_steady = self.0.alive.get().is_none_or(Alive::is_steady);
        CrashWatch::new(self.clone()).scan(is_steady).await.map(drop)
    }
}

#[async_trait]
impl Page for InStream {
    async fn note(&self, noted: Noted) -> Result<(), Failure> {
        self.recorder.note(&self.recording, noted).await
    }

    async fn end(&self, end: End) -> Result<(), Refused> {
        self.recorder.end(self.recording.clone(), end).await
    }
}
