//! A SHA-256 that can be put down and taken up again by another process.

use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

/// The digest of a text that is still being written. Stored as the hexadecimal form of its inner state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct RunningDigest(Sha256);

impl RunningDigest {
    pub(crate) fn add(&mut self, text: &[u8]) {
        self.0.update(text);
    }

    /// The digest of all that was added so far.
    pub(crate) fn so_far(&self) -> String {
        hex(&self.0.clone().finalize())
    }
}

/// The digest of a text that is at hand.
pub(crate) fn sha256(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

impl PartialEq for RunningDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.serialize() == other.0.serialize()
    }
}

impl From<RunningDigest> for String {
    fn from(digest: RunningDigest) -> Self {
        hex(&digest.0.serialize())
    }
}

impl TryFrom<String> for RunningDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let state = unhex(&text).and_then(|bytes| SerializedState::<Sha256>::try_from(&bytes[..]).ok());
        let digest = state.and_then(|state| Sha256::deserialize(&state).ok());
        digest.map(Self).ok_or_else(|| "this is no stored state of a running SHA-256".to_owned())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
