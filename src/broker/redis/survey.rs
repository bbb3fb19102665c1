//! What lies in partitions and how far everybody is, for people. Read in two goes, so not of one moment.

use std::collections::{BTreeSet, HashMap};

use redis::Value;

use super::ownership::stop_kind;
use super::reply::{self, Reply, Unread};
use super::{Redis, place, scripts};
use crate::broker::{BrokerError, Epoch, FenceFacts, Front, GroupSurvey, PartitionSurvey, Stop, StreamRef};
use crate::event::{EventId, Partition};

const DOING: &str = "surveying a stream";

/// One partition before the fences are known.
struct Raw {
    survey: PartitionSurvey,
    registered: BTreeSet<String>,
}

pub(super) async fn survey(redis: &Redis, stream: &StreamRef) -> Result<Vec<PartitionSurvey>, BrokerError> {
    let partitions: Vec<Partition> = (0..stream.partitions).map(Partition).collect();
    let mut pipeline = redis::Pipeline::with_capacity(partitions.len() * 3);
    for &partition in &partitions {
        let key = redis.keys.partition(stream, partition);
        pipeline.cmd("XINFO").arg("STREAM").arg(&key);
        pipeline.cmd("XINFO").arg("GROUPS").arg(&key);
        pipeline.cmd("SMEMBERS").arg(redis.keys.groups(stream, partition));
    }
    let mut answers = redis.connection.ask_all(DOING, &pipeline).await?.into_iter();
    let mut raws = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let key = redis.keys.partition(stream, partition);
        let mut answer = || answers.next().expect("each question has an answer");
        let facts = unless_absent(answer(), &key)?;
        let groups = unless_absent(answer(), &key)?;
        let registered = answer().map_err(|e| scripts::name_the_key(e, &redis.keys.groups(stream, partition)))?;
        let raw = raw(partition, facts, groups, registered);
        raws.push(raw.map_err(|why| redis.connection.unexpected(DOING, format!("{key}: {why}")))?);
    }
    add_fences(redis, stream, &mut raws).await?;
    Ok(raws.into_iter().map(|raw| raw.survey).collect())
}

/// A partition that nobody has sent to yet does not exist, and is empty.
fn unless_absent(answer: Result<Value, BrokerError>, key: &str) -> Result<Option<Value>, BrokerError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(BrokerError::Refused { message, .. }) if message.contains("no such key") => Ok(None),
        Err(error) => Err(scripts::name_the_key(error, key)),
    }
}

fn raw(partition: Partition, facts: Option<Value>, groups: Option<Value>, registered: Value) -> Result<Raw, Unread> {
    let registered: BTreeSet<String> = Reply::of(registered)?.map(reply::text).collect::<Result<_, _>>()?;
    let mut survey =
        PartitionSurvey { partition, length: 0, added: 0, first: None, last: EventId::ZERO, groups: Vec::new() };
    for (name, value) in facts.map(reply::pairs).transpose()?.unwrap_or_default() {
        match name.as_str() {
            "length" => survey.length = reply::number(value)?,
            "entries-added" => survey.added = reply::number(value)?,
            "last-generated-id" => survey.last = reply::id(value)?,
            "first-entry" if !matches!(value, Value::Nil) => survey.first = Some(Reply::of(value)?.id("first id")?),
            _ => {}
        }
    }
    for group in groups.map(Reply::of).transpose()?.into_iter().flatten() {
        survey.groups.push(group_survey(group, &registered)?);
    }
    for name in &registered {
        if !survey.groups.iter().any(|group| group.name == *name) {
            survey.groups.push(absent_group(name));
        }
    }
    survey.groups.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(Raw { survey, registered })
}

fn absent_group(name: &str) -> GroupSurvey {
    GroupSurvey {
        name: name.to_owned(),
        registered: true,
        position: None,
        lag: None,
        pending: 0,
        consumers: 0,
        fence: None,
    }
}

fn group_survey(value: Value, registered: &BTreeSet<String>) -> Result<GroupSurvey, Unread> {
    let mut group = absent_group("");
    for (name, value) in reply::pairs(value)? {
        match name.as_str() {
            "name" => group.name = reply::text(value)?,
            "last-delivered-id" => group.position = Some(reply::id(value)?),
            "lag" => group.lag = reply::number_if_known(value)?,
            "pending" => group.pending = reply::number(value)?,
            "consumers" => group.consumers = reply::number(value)?,
            _ => {}
        }
    }
    group.registered = registered.contains(&group.name);
    Ok(group)
}

async fn add_fences(redis: &Redis, stream: &StreamRef, raws: &mut [Raw]) -> Result<(), BrokerError> {
    let mut pipeline = redis::pipe();
    let mut keys = Vec::new();
    for raw in raws.iter() {
        for name in &raw.registered {
            let place = place(stream, raw.survey.partition, name);
            let (fence, done) = (redis.keys.fence(&place), redis.keys.done(&place));
            pipeline.cmd("HGETALL").arg(&fence);
            pipeline.cmd("SCARD").arg(&done);
            keys.push((fence, done));
        }
    }
    let mut answers = redis.connection.ask_all(DOING, &pipeline).await?.into_iter();
    let mut keys = keys.into_iter();
    for raw in raws {
        for name in &raw.registered {
            let (key, done_key) = keys.next().expect("each registered group has its keys");
            let mut answer = || answers.next().expect("each question has an answer");
            let (fields, done) = (answer(), answer());
            let fields = fields.map_err(|error| scripts::name_the_key(error, &key))?;
            let done = done.map_err(|error| scripts::name_the_key(error, &done_key))?;
            let fence = reply::number(done).and_then(|done| fence_facts(fields, done));
            let fence = fence.map_err(|why| redis.connection.unexpected(DOING, format!("{key}: {why}")))?;
            if let Some(group) = raw.survey.groups.iter_mut().find(|group| group.name == *name) {
                group.fence = fence;
            }
        }
    }
    Ok(())
}

fn fence_facts(value: Value, done: u64) -> Result<Option<FenceFacts>, Unread> {
    let fields: HashMap<String, String> = reply::pairs(value)?
        .into_iter()
        .map(|(name, value)| Ok((name, reply::text(value)?)))
        .collect::<Result<_, Unread>>()?;
    if fields.is_empty() {
        return Ok(None);
    }
    let text = |name: &str| fields.get(name).map_or("", String::as_str);
    let number = |name: &str| match text(name) {
        "" => Ok(0),
        digits => digits.parse::<u64>().map_err(|_| format!("field `{name}` is `{digits}`, no number")),
    };
    let id = |name: &str| match text(name) {
        "" => Ok(EventId::ZERO),
        id => id.parse::<EventId>().map_err(|_| format!("field `{name}` is `{id}`, no event id")),
    };
    let counted = |name: &str| number(name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let position = id("cursor")?;
    let front = match id("head")? {
        // What was marked is settled since: the mark is only removed when the place changes hands.
        head if head <= position => None,
        head => Some(Front { id: head, fails: counted("fails")?, crashes: counted("crashes")? }),
    };
    let stop = stop_kind(text("state"))?
        .map(|kind| {
            Ok::<_, Unread>(Stop { kind, at: id("qid")?, error: text("qerr").to_owned(), since: number("qat")? })
        })
        .transpose()?;
    let worker = match (text("owner"), text("worker")) {
        ("", _) => None,
        (owner, "") => Some(owner.to_owned()),
        (_, worker) => Some(worker.to_owned()),
    };
    let (epoch, until) = (Epoch(number("epoch")?), number("until")?);
    Ok(Some(FenceFacts { worker, epoch, until, position, seen: id("seen")?, front, stop, done }))
}
