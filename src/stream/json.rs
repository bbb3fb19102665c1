//! A stream without its record type, fed with JSON: what the command line needs of it.

use async_trait::async_trait;

use crate::codec::DecodeError;
use crate::error::Failure;
use crate::event::{EventId, Fields};
use crate::record::Record;
use crate::route::Key;

use super::current::Handle;
use super::{Bound, Stream, StreamSpec};

/// A stream that is spoken to in JSON.
#[async_trait]
pub(crate) trait JsonStream: Send + Sync {
    /// What it declares.
    fn spec(&self) -> &StreamSpec;

    /// The key of the record in these fields.
    fn key(&self, handle: &Handle, fields: &Fields) -> Result<Key, DecodeError>;

    /// Whether this text is a record of it.
    fn check(&self, json: &[u8]) -> Result<(), serde_json::Error>;

    /// Sends such records, in order. They were checked before.
    async fn send(&self, handle: &Handle, records: &[Vec<u8>]) -> Result<Vec<EventId>, Failure>;
}

#[async_trait]
impl<R: Record> JsonStream for Stream<R> {
    fn spec(&self) -> &StreamSpec {
        &self.declaration().spec
    }

    fn key(&self, handle: &Handle, fields: &Fields) -> Result<Key, DecodeError> {
        let declaration = self.declaration();
        let record = declaration.codec(handle.default_codec()).read(fields, &handle.limits())?;
        Ok(declaration.key(&record))
    }

    fn check(&self, json: &[u8]) -> Result<(), serde_json::Error> {
        R::from_json(json).map(drop)
    }

    async fn send(&self, handle: &Handle, records: &[Vec<u8>]) -> Result<Vec<EventId>, Failure> {
        let records = records
            .iter()
            .map(|json| R::from_json(json))
            .collect::<Result<Vec<R>, _>>()
            .map_err(|error| Failure::Invalid(format!("this is no record of stream `{}`: {error}", self.name())))?;
        Bound::new(self, handle.clone()).send_all(records).await
    }
}
