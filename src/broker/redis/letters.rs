//! Dead letters: how a commit carries them, and what people do with them.

use redis::Value;

use super::Redis;
use super::reply::{self, Reply};
use super::scripts::{self, Call};
use crate::broker::letters::RETRIED_AT_ONCE;
use crate::broker::{ABOUT, BrokerError, NewLetter, RETRIED, Retried, StreamFacts, StreamRef};
use crate::event::{EventId, Partition};

/// Letters that one XDEL names at most.
const DROPPED_AT_ONCE: usize = 1000;

/// Tells a script that what it looks at are letters, where they are: their stream has gaps that mean nothing.
pub(super) fn marked(call: Call, stream: &StreamFacts) -> Call {
    match stream.letters_of() {
        Some(_) => call.arg("letters"),
        None => call,
    }
}

/// A commit's call with letters.
pub(super) fn added(call: Call, letters: &[NewLetter], limit: u64) -> Call {
    letters.iter().fold(call.arg(limit).arg(letters.len()), |call, letter| {
        let call = call.arg(2 * (1 + letter.fields.len())).arg(ABOUT).bytes(&letter.about);
        letter.fields.iter().fold(call, |call, (name, value)| call.bytes(name).bytes(value))
    })
}

pub(super) async fn retry(
    redis: &Redis,
    stream: &StreamRef,
    partition: Partition,
    letters: &[EventId],
) -> Result<Vec<Retried>, BrokerError> {
    const DOING: &str = "retrying dead letters";
    stream.refuse_letters(&redis.connection.target().address, DOING)?;
    let keys = [redis.keys.letters(stream, partition), redis.keys.partition(stream, partition)];
    let mut all = Vec::with_capacity(letters.len());
    for some in letters.chunks(RETRIED_AT_ONCE) {
        let call = scripts::RETRY.on(keys.clone()).arg(ABOUT).arg(RETRIED);
        let call = some.iter().fold(call, |call, id| call.arg(id));
        let back: Vec<Retried> = redis.asked(DOING, call, |value| Reply::of(value)?.map(retried).collect()).await?;
        if back.len() != some.len() {
            return Err(redis.connection.unexpected(DOING, format!("{} answers for {}", back.len(), some.len())));
        }
        all.extend(back);
    }
    Ok(all)
}

fn retried(value: Value) -> Result<Retried, reply::Unread> {
    match value {
        Value::BulkString(nothing) if nothing.is_empty() => Ok(Retried::Gone),
        id => reply::id(id).map(Retried::Back),
    }
}

pub(super) async fn drop_letters(
    redis: &Redis,
    stream: &StreamRef,
    partition: Partition,
    letters: &[EventId],
) -> Result<u64, BrokerError> {
    const DOING: &str = "dropping dead letters";
    stream.refuse_letters(&redis.connection.target().address, DOING)?;
    let key = redis.keys.letters(stream, partition);
    let mut dropped = 0;
    for some in letters.chunks(DROPPED_AT_ONCE) {
        let mut question = redis::cmd("XDEL");
        question.arg(&key);
        some.iter().for_each(|id| _ = question.arg(id.to_string()));
        let value = redis.connection.ask(DOING, &question).await.map_err(|error| scripts::name_the_key(error, &key))?;
        let gone: u64 = reply::number(value).map_err(|why| redis.connection.unexpected(DOING, why))?;
        dropped += gone;
    }
    Ok(dropped)
}
