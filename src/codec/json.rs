//! JSON, the default codec.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{Formatter, Serializer};

use super::looks::refusal;
use super::{Codec, DecodeError, EncodeError, Limits, finite};

/// JSON by `serde_json`.
///
/// NaN and the infinities have no JSON. A record with one is refused when it is sent: `null` in its place, as many
/// writers have it, could not be read back. Use an `Option`, or another codec. Floats read back bit for bit.
///
/// Values may be nested 127 levels deep; deeper ones are refused when they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

const NAME: &str = "json";

impl Codec for Json {
    fn name(&self) -> String {
        NAME.into()
    }

    fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let mut nulls = false;
        let written = value
            .serialize(&mut Serializer::with_formatter(&mut *out, NullWatch(&mut nulls)))
            .map_err(|error| EncodeError::refused(NAME, error))
            .and_then(|()| if nulls { only_honest_nulls(value) } else { Ok(()) });
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8], limits: &Limits) -> Result<T, DecodeError> {
        if bytes.len() > limits.bytes {
            return Err(DecodeError::TooLarge { limit: limits.bytes });
        }
        serde_json::from_slice(bytes).map_err(|error| refusal(NAME, bytes, error))
    }
}

/// Compact JSON, noting whether there is a `null` in it.
///
/// `serde_json` writes NaN as `null`, and says so to nobody. Most records have no `null` at all; only those that do are
/// looked at a second time.
struct NullWatch<'a>(&'a mut bool);

impl Formatter for NullWatch<'_> {
    fn write_null<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        *self.0 = true;
        out.write_all(b"null")
    }
}

fn only_honest_nulls<T: Serialize>(value: &T) -> Result<(), EncodeError> {
    match finite::first_not_finite(value) {
        None => Ok(()),
        Some(place) => Err(EncodeError::refused(NAME, place)),
    }
}
