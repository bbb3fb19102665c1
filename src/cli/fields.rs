//! The fields of events for people and programs, whose types are not known here.

use serde_json::{Map, Value};

use crate::broker::StreamFacts;
use crate::codec::{AnyCodec, Codec, Limits};
use crate::event::Fields;
use crate::record::DATA;
use crate::settings::Settings;

/// Shows the fields of one stream's events.
pub(super) struct Reader {
    codec: Option<AnyCodec>,
    limits: Limits,
}

impl Reader {
    pub(super) fn of(stream: &StreamFacts, settings: &Settings) -> Self {
        Self {
            codec: AnyCodec::from_name(&stream.codec).ok(),
            limits: Limits { bytes: settings.decode_limit, ..Limits::default() },
        }
    }

    /// Name -> value. Of fields with the same name, the last one.
    pub(super) fn show(&self, fields: &Fields) -> Map<String, Value> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|(name, value)| (text(name), self.value(name, value))).collect()
    }

    /// The record, where the stream's codec can read it; text where it is text; else how much there is.
    pub(super) fn value(&self, name: &[u8], value: &[u8]) -> Value {
        let decoded =
            self.codec.filter(|_| name == DATA.as_bytes()).and_then(|codec| codec.decode(value, &self.limits).ok());
        decoded.unwrap_or_else(|| match std::str::from_utf8(value) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(format!("<{} bytes>", value.len())),
        })
    }
}
