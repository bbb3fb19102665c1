//! What a store of runs keeps on a server: documents in parts, found by indexes, and lines by topic.
//!
//! Here nobody knows what a run is. A document is written in one step with its places in the indexes, by whoever has
//! read it last; a line is added once, whoever adds it again. All keys of an app lie in one slot: a document and its
//! indexes must change together, and there are few of them beside the events.

mod documents;
mod lines;

use std::collections::BTreeMap;

use super::RedisOptions;
use super::connection::{Connection, Patience};
use super::keys::Keys;
use super::target::Target;
use crate::broker::BrokerError;
use crate::settings::RedisUrl;

/// One app's documents and lines on one server, by a connection of their own.
#[derive(Debug)]
pub(crate) struct Records {
    connection: Connection,
    keys: Keys,
}

/// The parts of a document, by name.
pub(crate) type Parts = BTreeMap<String, Vec<u8>>;

/// A document as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Another one after each write.
    pub(crate) version: String,
    /// All of them, or those that were asked for.
    pub(crate) parts: Parts,
}

/// What becomes of a document that nobody writes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// What was to become of it before.
    AsItIs,
    /// It stays.
    ForEver,
    /// It goes, so many milliseconds from now.
    Milliseconds(u64),
}

/// A wish to write parts of a document.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    /// Which document.
    pub(crate) id: &'a str,
    /// The version that was read; nothing if there was no document.
    pub(crate) read: Option<&'a str>,
    /// The parts that are new or other than before.
    pub(crate) parts: Vec<(String, Vec<u8>)>,
    /// Its place in all indexes.
    pub(crate) place: i64,
    /// The indexes that it is to be found by from now on.
    pub(crate) join: Vec<String>,
    /// The indexes that it is to be found by no more.
    pub(crate) leave: Vec<String>,
    /// What becomes of it.
    pub(crate) lifetime: Lifetime,
}

/// The answer to such a wish.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is written; this is its version now.
    Now(String),
    /// Somebody else was faster, and nothing was written: the document as it is, if there is one.
    Changed(Option<Document>),
}

/// A part of an index.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// From this place on, the places of both ends included.
    pub(crate) from: Option<i64>,
    /// Up to this place.
    pub(crate) to: Option<i64>,
    /// From the last to the first.
    pub(crate) backwards: bool,
    /// Not the first so many.
    pub(crate) skip: usize,
    /// At most so many.
    pub(crate) count: usize,
}

/// A line as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLine {
    /// Its number among all lines of all topics.
    pub(crate) number: u64,
    /// Its id.
    pub(crate) id: Vec<u8>,
    /// What it says.
    pub(crate) text: Vec<u8>,
}

/// A line to be added.
#[derive(Debug)]
pub(crate) struct NewLine {
    /// Its topic, by its place in the list of topics.
    pub(crate) topic: usize,
    /// Its id.
    pub(crate) id: [u8; 16],
    /// What it says.
    pub(crate) text: Vec<u8>,
}

impl Records {
    /// Connects, trying once. Later it reconnects by itself, with each question that finds no connection.
    pub(crate) async fn connect(
        url: &RedisUrl,
        app: &str,
        prefix: &str,
        options: RedisOptions,
    ) -> Result<Self, BrokerError> {
        let patience = Patience { connect: options.connect_timeout, answer: options.answer_timeout };
        let connection = Connection::open(Target::read(url)?, patience).await?;
        Ok(Self { connection, keys: Keys::new(prefix, app) })
    }

    /// Whom it speaks to, without secrets.
    pub(crate) fn address(&self) -> &str {
        &self.connection.target().address
    }
}
