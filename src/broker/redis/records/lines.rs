//! Lines by topic: added once, in one order over all topics, and the oldest of a topic give way.

use redis::Value;

use super::{NewLine, Records, StoredLine};
use crate::broker::BrokerError;
use crate::broker::redis::reply::{self, Unread};
use crate::broker::redis::scripts;

/// How many lines one script is given: it holds up everybody else while it runs.
const AT_ONCE: usize = 256;

impl Records {
    /// Adds lines, in this order. One whose id is there already is left out. A topic keeps `most` of them, and all of it
    /// goes when nothing was added for `ttl` milliseconds (0: never).
    pub(crate) async fn add_lines(
        &self,
        topics: &[&str],
        lines: &[NewLine],
        most: u64,
        ttl: u64,
    ) -> Result<(), BrokerError> {
        const DOING: &str = "adding lines";
        // One after the other: what was added of one call keeps its order also if the next one fails.
        for lines in lines.chunks(AT_ONCE) {
            let mut named: Vec<usize> = lines.iter().map(|line| line.topic).collect();
            named.sort_unstable();
            named.dedup();
            let call = scripts::ADD_LINES.on([self.keys.topics(), self.keys.lines_added()]);
            let call = call.arg(most.max(1)).arg(ttl).arg(named.len());
            let of = |at: usize| topics[at];
            let call = named
                .iter()
                .fold(call, |call, &at| call.key(self.keys.lines(of(at))).key(self.keys.line_ids(of(at))).arg(of(at)));
            let call = lines.iter().fold(call, |call, line| {
                let topic = named.partition_point(|&at| at < line.topic) + 1;
                call.arg(topic).bytes(&line.id).bytes(&line.text)
            });
            self.connection.run(DOING, call).await?;
        }
        Ok(())
    }

    /// The topics that have lines, or had some not long ago.
    pub(crate) async fn topics(&self) -> Result<Vec<String>, BrokerError> {
        self.names("looking for topics", self.keys.topics()).await
    }

    /// How many lines each of these topics has.
    pub(crate) async fn line_counts(&self, topics: &[String]) -> Result<Vec<u64>, BrokerError> {
        let mut questions = redis::Pipeline::with_capacity(topics.len());
        topics.iter().for_each(|topic| _ = questions.cmd("XLEN").arg(self.keys.lines(topic)));
        self.numbers("counting lines", &questions).await
    }

    /// Of each topic at most `count` lines beyond the line of that number, or from the end, in order or backwards.
    pub(crate) async fn lines(
        &self,
        topics: &[String],
        beyond: Option<u64>,
        backwards: bool,
        count: usize,
    ) -> Result<Vec<Vec<StoredLine>>, BrokerError> {
        const DOING: &str = "reading lines";
        let mut questions = redis::Pipeline::with_capacity(topics.len());
        for topic in topics {
            let begin = |open: &str| beyond.map_or_else(|| open.to_owned(), |number| format!("({number}-0"));
            match backwards {
                false => questions.cmd("XRANGE").arg(self.keys.lines(topic)).arg(begin("-")).arg("+"),
                true => questions.cmd("XREVRANGE").arg(self.keys.lines(topic)).arg(begin("+")).arg("-"),
            };
            questions.arg("COUNT").arg(count.max(1));
        }
        let mut found = Vec::with_capacity(topics.len());
        for (topic, answer) in topics.iter().zip(self.connection.ask_all(DOING, &questions).await?) {
            let key = || self.keys.lines(topic);
            let value = answer.map_err(|error| scripts::name_the_key(error, &key()))?;
            let lines = stored(value).map_err(|why| self.connection.unexpected(DOING, format!("{}: {why}", key())))?;
            found.push(lines);
        }
        Ok(found)
    }

    /// The number of the line with that id, if one of these topics has it.
    pub(crate) async fn line_number(&self, topics: &[String], id: &[u8; 16]) -> Result<Option<u64>, BrokerError> {
        const DOING: &str = "looking for a line";
        let mut questions = redis::Pipeline::with_capacity(topics.len());
        topics.iter().for_each(|topic| _ = questions.cmd("HGET").arg(self.keys.line_ids(topic)).arg(&id[..]));
        for answer in self.connection.ask_all(DOING, &questions).await? {
            match answer? {
                Value::Nil => {}
                value => return reply::number(value).map(Some).map_err(|why| self.connection.unexpected(DOING, why)),
            }
        }
        Ok(None)
    }

    /// Removes lines of a topic, by number and id, and answers how many were there.
    pub(crate) async fn remove_lines(&self, topic: &str, lines: &[(u64, Vec<u8>)]) -> Result<u64, BrokerError> {
        const DOING: &str = "removing lines";
        let mut removed = 0;
        for lines in lines.chunks(AT_ONCE) {
            let keys = [self.keys.topics(), self.keys.lines(topic), self.keys.line_ids(topic)];
            let call = scripts::REMOVE_LINES.on(keys).arg(topic);
            let call = lines.iter().fold(call, |call, (number, id)| call.arg(number).bytes(id));
            let answer: Result<u64, Unread> = reply::number(self.connection.run(DOING, call).await?);
            removed += answer.map_err(|why| self.connection.unexpected(DOING, why))?;
        }
        Ok(removed)
    }
}

fn stored(value: Value) -> Result<Vec<StoredLine>, Unread> {
    let line = |entry: crate::event::Entry| {
        let field = |wanted: &[u8]| {
            let found = entry.fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_vec());
            found.ok_or_else(|| format!("{} has no field `{}`", entry.id, String::from_utf8_lossy(wanted)))
        };
        Ok(StoredLine { number: entry.id.ms, id: field(b"id")?, text: field(b"line")? })
    };
    reply::entries(value)?.into_iter().map(line).collect()
}
