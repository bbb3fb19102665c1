//! Documents in parts, and the indexes that find them.

use redis::Value;

use super::{Document, Lifetime, Parts, Records, Span, Write, Written};
use crate::broker::BrokerError;
use crate::broker::redis::reply::{self, Reply, Unread};
use crate::broker::redis::scripts;

/// The part that is the version. No part of a document is called so.
const VERSION: &str = "#";

impl Records {
    /// A document with all its parts.
    pub(crate) async fn document(&self, id: &str) -> Result<Option<Document>, BrokerError> {
        const DOING: &str = "reading a document";
        let key = self.keys.document(id);
        let answer = self.connection.ask(DOING, redis::cmd("HGETALL").arg(&key)).await;
        let value = answer.map_err(|error| scripts::name_the_key(error, &key))?;
        document(value).map_err(|why| self.connection.unexpected(DOING, format!("{why} (at {key})")))
    }

    /// Those parts of documents, in the order of the ids. A part that a document does not have is left out.
    pub(crate) async fn parts(&self, ids: &[&str], names: &[&str]) -> Result<Vec<Option<Document>>, BrokerError> {
        const DOING: &str = "reading parts of documents";
        let mut questions = redis::Pipeline::with_capacity(ids.len());
        for id in ids {
            questions.cmd("HMGET").arg(self.keys.document(id)).arg(VERSION).arg(names);
        }
        let mut found = Vec::with_capacity(ids.len());
        for (id, answer) in ids.iter().zip(self.connection.ask_all(DOING, &questions).await?) {
            let key = || self.keys.document(id);
            let value = answer.map_err(|error| scripts::name_the_key(error, &key()))?;
            let read = some_parts(names, value);
            found.push(read.map_err(|why| self.connection.unexpected(DOING, format!("{why} (at {})", key())))?);
        }
        Ok(found)
    }

    /// Writes parts of a document in one step with its places in the indexes.
    pub(crate) async fn write(&self, wish: &Write<'_>) -> Result<Written, BrokerError> {
        const DOING: &str = "writing a document";
        // Told apart from every other write, also from those of an earlier document of the same id.
        let version = format!("{:016x}", fastrand::u64(..));
        let lifetime = match wish.lifetime {
            Lifetime::AsItIs => String::new(),
            Lifetime::ForEver => "0".to_owned(),
            Lifetime::Milliseconds(time) => time.max(1).to_string(),
        };
        let call = scripts::WRITE_DOCUMENT.on([self.keys.document(wish.id), self.keys.indexes()]);
        let call = call.arg(wish.read.unwrap_or_default()).arg(&version).arg(lifetime);
        let call = call.arg(wish.id).arg(wish.place).arg(wish.join.len());
        let indexes = wish.join.iter().chain(&wish.leave);
        let call = indexes.fold(call, |call, name| call.key(self.keys.index(name)).arg(name));
        let call = wish.parts.iter().fold(call, |call, (name, bytes)| call.arg(name).bytes(bytes));
        let key = self.keys.document(wish.id);
        let answer = written(self.connection.run(DOING, call).await?, version);
        answer.map_err(|why| self.connection.unexpected(DOING, format!("{why} (at {key})")))
    }

    /// Removes a document of that version, and takes it out of these indexes. `false` if it was written meanwhile.
    ///
    /// No version stands for a document that is not there any more, and has left places behind.
    pub(crate) async fn remove(&self, id: &str, read: Option<&str>, indexes: &[String]) -> Result<bool, BrokerError> {
        const DOING: &str = "removing a document";
        let call = scripts::REMOVE_DOCUMENT.on([self.keys.document(id), self.keys.indexes()]);
        let call = call.arg(read.unwrap_or_default()).arg(id);
        let call = indexes.iter().fold(call, |call, name| call.key(self.keys.index(name)).arg(name));
        let removed: Result<u64, Unread> = reply::number(self.connection.run(DOING, call).await?);
        removed.map(|removed| removed == 1).map_err(|why| self.connection.unexpected(DOING, why))
    }

    /// The names of all indexes that find something.
    pub(crate) async fn indexes(&self) -> Result<Vec<String>, BrokerError> {
        self.names("looking for indexes", self.keys.indexes()).await
    }

    /// How many documents each of these indexes finds.
    pub(crate) async fn found_by(&self, indexes: &[String]) -> Result<Vec<u64>, BrokerError> {
        const DOING: &str = "counting documents";
        let mut questions = redis::Pipeline::with_capacity(indexes.len());
        indexes.iter().for_each(|name| _ = questions.cmd("ZCARD").arg(self.keys.index(name)));
        self.numbers(DOING, &questions).await
    }

    /// The ids that an index holds there, each with its place. Those of one place come in the order of their letters.
    pub(crate) async fn index(&self, name: &str, span: &Span) -> Result<Vec<(String, i64)>, BrokerError> {
        const DOING: &str = "reading an index";
        let end = |place: Option<i64>, none: &str| place.map_or_else(|| none.to_owned(), |place| place.to_string());
        let (first, last) = (end(span.from, "-inf"), end(span.to, "+inf"));
        let mut question = redis::cmd("ZRANGE");
        question.arg(self.keys.index(name));
        match span.backwards {
            false => question.arg(first).arg(last).arg("BYSCORE"),
            true => question.arg(last).arg(first).arg("BYSCORE").arg("REV"),
        };
        question.arg("LIMIT").arg(span.skip).arg(span.count).arg("WITHSCORES");
        let value = self.connection.ask(DOING, &question).await;
        let value = value.map_err(|error| scripts::name_the_key(error, &self.keys.index(name)))?;
        places(value).map_err(|why| self.connection.unexpected(DOING, why))
    }

    /// The members of a set of names, in the order of their letters.
    pub(super) async fn names(&self, doing: &'static str, key: String) -> Result<Vec<String>, BrokerError> {
        let value = self.connection.ask(doing, redis::cmd("SMEMBERS").arg(&key)).await;
        let value = value.map_err(|error| scripts::name_the_key(error, &key))?;
        let names = Reply::of(value).and_then(|names| names.map(reply::text).collect::<Result<Vec<_>, _>>());
        let mut names = names.map_err(|why| self.connection.unexpected(doing, why))?;
        names.sort_unstable();
        Ok(names)
    }

    pub(super) async fn numbers(
        &self,
        doing: &'static str,
        questions: &redis::Pipeline,
    ) -> Result<Vec<u64>, BrokerError> {
        let answers = self.connection.ask_all(doing, questions).await?;
        let number = |answer: Result<Value, BrokerError>| {
            reply::number(answer?).map_err(|why| self.connection.unexpected(doing, why))
        };
        answers.into_iter().map(number).collect()
    }
}

fn written(value: Value, version: String) -> Result<Written, Unread> {
    let mut reply = Reply::of(value)?;
    match reply.text("answer")?.as_str() {
        "written" => Ok(Written::Now(version)),
        "changed" => Ok(Written::Changed(document(reply.value("document")?)?)),
        other => Err(format!("`{other}` is no answer to the write of a document")),
    }
}

fn document(value: Value) -> Result<Option<Document>, Unread> {
    let mut flat = Reply::of(value)?;
    let (mut version, mut parts) = (None, Parts::new());
    while !flat.is_empty() {
        match (flat.text("part")?, flat.value("bytes")?) {
            (name, value) if name == VERSION => version = Some(reply::text(value)?),
            (name, value) => _ = parts.insert(name, reply::bytes(value)?),
        }
    }
    // Without a version it is none of ours, and must not be taken for nothing either.
    match (version, parts.is_empty()) {
        (Some(version), _) => Ok(Some(Document { version, parts })),
        (None, true) => Ok(None),
        (None, false) => Err("a document has no version: somebody else has written there".to_owned()),
    }
}

fn some_parts(names: &[&str], value: Value) -> Result<Option<Document>, Unread> {
    let mut values = Reply::of(value)?;
    let version = values.value("version")?;
    if matches!(version, Value::Nil) {
        return Ok(None);
    }
    let mut parts = Parts::new();
    for (name, value) in names.iter().zip(values) {
        if !matches!(value, Value::Nil) {
            parts.insert((*name).to_owned(), reply::bytes(value)?);
        }
    }
    Ok(Some(Document { version: reply::text(version)?, parts }))
}

fn places(value: Value) -> Result<Vec<(String, i64)>, Unread> {
    let mut flat = Reply::of(value)?;
    let mut places = Vec::new();
    while !flat.is_empty() {
        let (id, place) = (flat.text("id")?, flat.text("place")?);
        // Written as a float. What lies beyond its whole numbers is near enough: `as` saturates.
        let place: f64 = place.parse().map_err(|_| format!("`{place}` is no place"))?;
        places.push((id, place as i64));
    }
    Ok(places)
}
