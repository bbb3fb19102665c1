//! The flights of 4 to 14 March 2013 and what is known of them, built into the program.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::digest::sha256;
use super::event::Flight;

/// The data set. See `examples/data/README.md`.
pub(crate) struct Source {
    /// In order of time.
    pub(crate) flights: Vec<Flight>,
    /// Of the file they were read from.
    pub(crate) sha256: String,
    /// What a correct processor finds.
    pub(crate) expected: Value,
}

impl Source {
    /// Reads what was built in.
    pub(crate) fn open() -> runnel::Result<Self> {
        let mut text = Vec::new();
        GzDecoder::new(&include_bytes!("../data/events.jsonl.gz")[..]).read_to_end(&mut text)?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(Self {
            flights: lines.map(Flight::read).collect::<Result<_, _>>()?,
            sha256: sha256(&text),
            expected: serde_json::from_str(include_str!("../data/expected.json"))?,
        })
    }

    /// The aircraft whose own digests are known.
    pub(crate) fn samples(&self) -> Vec<&str> {
        let samples = self.expected["samples"].as_array().into_iter().flatten();
        samples.filter_map(|sample| sample["tail"].as_str()).collect()
    }
}
