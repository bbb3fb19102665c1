//! Sending from anywhere: a stream and the app that is meant.

use crate::error::Failure;
use crate::record::Record;
use crate::stream::{Bound, Stream};

use super::App;

/// A stream of an app that may not be connected yet.
pub struct AppStream<R: Record> {
    pub(super) app: App,
    pub(super) stream: Stream<R>,
}

impl<R: Record> AppStream<R> {
    async fn bound(&self) -> Result<Bound<R>, Failure> {
        let handle = self.app.connected.get_or_try_init(|| self.app.connect_to_send()).await?;
        Ok(Bound::new(&self.stream, handle.clone()))
    }

    /// As [`Stream::send`].
    pub async fn send(&self, record: R) -> Result<crate::EventId, Failure> {
        self.bound().await?.send(record).await
    }

    /// As [`Stream::send_as`].
    pub async fn send_as(&self, id: crate::EventId, record: R) -> Result<crate::EventId, Failure> {
        self.bound().await?.send_as(id, record).await
    }

    /// As [`Stream::send_all`].
    pub async fn send_all(&self, records: impl IntoIterator<Item = R>) -> Result<Vec<crate::EventId>, Failure> {
        self.bound().await?.send_all(records).await
    }
}
