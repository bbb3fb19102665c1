//! JSON, the default codec.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, DecodeError, EncodeError, Limits};

/// JSON by `serde_json`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Codec for Json {
    fn name(&self) -> String {
        "json".into()
    }

    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        serde_json::to_writer(out, value)
            .map_err(|source| EncodeError::Codec { codec: self.name(), source: source.into() })
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError> {
        if bytes.len() > limits.bytes {
            return Err(DecodeError::TooLarge { limit: limits.bytes });
        }
        serde_json::from_slice(bytes).map_err(|source| DecodeError::Codec { codec: self.name(), source: source.into() })
    }
}
