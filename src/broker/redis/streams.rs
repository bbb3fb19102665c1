//! What lies in streams: facts, events, and how much of them is kept.

use redis::Value;

use super::Redis;
use super::durable::Outcome;
use super::reply::{self, Reply, Unread};
use super::scripts;
use crate::broker::{Appended, BrokerError, DEAD, KeyLayout, NewEntry, StreamFacts, StreamRef, Trimmed};
use crate::event::{Entry, EventId, Partition};

/// How often trimming looks again when processors register meanwhile.
const LOOKS: usize = 3;

pub(super) async fn declare(redis: &Redis, facts: &StreamFacts) -> Result<StreamFacts, BrokerError> {
    const DOING: &str = "declaring a stream";
    facts.refuse_letters(&redis.connection.target().address, DOING)?;
    // Listed first: a stream that is listed without facts is passed over, one that has facts unlisted would be hidden.
    redis.connection.run(DOING, scripts::ENLIST.on([redis.keys.streams()]).arg(&facts.name)).await?;
    let layout = match facts.keys {
        KeyLayout::Runnel => "runnel",
        KeyLayout::Python => "python",
    };
    let call = scripts::DECLARE.on([redis.keys.facts(&facts.name)]);
    let call = call.arg("version").arg(facts.layout_version).arg("partitions").arg(facts.partitions);
    let call = call.arg("slot_groups").arg(facts.slot_groups).arg("keys").arg(layout);
    let call = call.arg("partitioner").arg(&facts.partitioner).arg("codec").arg(&facts.codec);
    let kept = redis.asked(DOING, call, |value| read_facts(&facts.name, value)).await?;
    kept.ok_or_else(|| redis.connection.unexpected(DOING, "it has no facts after they were stored"))
}

pub(super) async fn stream(redis: &Redis, name: &str) -> Result<Option<StreamFacts>, BrokerError> {
    const DOING: &str = "looking up a stream";
    // Letters have no facts of their own.
    let declared = name.strip_suffix(DEAD).unwrap_or(name);
    let key = redis.keys.facts(declared);
    let answer = redis.connection.ask(DOING, redis::cmd("HGETALL").arg(&key)).await;
    let value = answer.map_err(|error| scripts::name_the_key(error, &key))?;
    read_facts(name, value).map_err(|why| redis.connection.unexpected(DOING, format!("{key}: {why}")))
}

pub(super) async fn streams(redis: &Redis) -> Result<Vec<String>, BrokerError> {
    const DOING: &str = "listing streams";
    let key = redis.keys.streams();
    let answer = redis.connection.ask(DOING, redis::cmd("SMEMBERS").arg(&key)).await;
    let value = answer.map_err(|error| scripts::name_the_key(error, &key))?;
    let names = Reply::of(value).and_then(|names| names.map(reply::text).collect::<Result<Vec<_>, _>>());
    let names = names.map_err(|why| redis.connection.unexpected(DOING, why))?;
    let mut exist = redis::pipe();
    for name in &names {
        exist.cmd("EXISTS").arg(redis.keys.facts(name));
    }
    let mut declared = Vec::new();
    for (name, exists) in names.into_iter().zip(redis.connection.ask_all(DOING, &exist).await?) {
        if matches!(exists?, Value::Int(1)) {
            declared.push(name);
        }
    }
    declared.sort_unstable();
    Ok(declared)
}

pub(super) async fn append(redis: &Redis, stream: &StreamRef, entries: Vec<NewEntry>) -> Result<Appended, BrokerError> {
    const DOING: &str = "appending events";
    let mut touched: Vec<(Partition, String)> = Vec::new();
    let mut pipeline = redis::Pipeline::with_capacity(entries.len() + 1);
    for entry in &entries {
        let known = touched.iter().position(|(partition, _)| *partition == entry.partition);
        let at = known.unwrap_or_else(|| {
            touched.push((entry.partition, redis.keys.partition(stream, entry.partition)));
            touched.len() - 1
        });
        let command = pipeline.cmd("XADD").arg(&touched[at].1);
        match entry.id {
            Some(id) => command.arg(id.to_string()),
            None => command.arg("*"),
        };
        for (name, value) in entry.fields.iter() {
            command.arg(name).arg(value);
        }
    }
    for (_, key) in &touched {
        pipeline.cmd("XLEN").arg(key);
    }
    let Outcome { answers, shortfall } = match &redis.durable {
        None => Outcome { answers: redis.connection.ask_all(DOING, &pipeline).await?, shortfall: None },
        Some(durable) => durable.ask_all(DOING, pipeline).await?,
    };
    let mut answers = answers.into_iter();
    let mut ids = Vec::with_capacity(entries.len());
    for (entry, answer) in entries.iter().zip(answers.by_ref().take(entries.len())) {
        let id = answer.and_then(|value| reply::id(value).map_err(|why| redis.connection.unexpected(DOING, why)));
        let id = id.map_err(|error| scripts::name_the_key(error, &redis.keys.partition(stream, entry.partition)));
        ids.push(match &shortfall {
            None => id,
            Some(shortfall) => id.and_then(|id| Err(redis.not_durable(id, shortfall))),
        });
    }
    // A length that was refused is left out: what was appended is appended.
    let lengths = touched.iter().zip(answers).filter_map(|((partition, _), answer)| {
        let length = answer.ok().and_then(|value| reply::number(value).ok())?;
        Some((*partition, length))
    });
    let lengths = lengths.collect();
    Ok(Appended { ids, lengths })
}

impl Redis {
    fn not_durable(&self, id: EventId, shortfall: &str) -> BrokerError {
        let address = self.connection.target().address.clone();
        BrokerError::NotDurable { address, id, shortfall: shortfall.to_owned() }
    }
}

pub(super) async fn range(
    redis: &Redis,
    stream: &StreamRef,
    partition: Partition,
    (from, to): (EventId, EventId),
    count: usize,
    backwards: bool,
) -> Result<Vec<Entry>, BrokerError> {
    const DOING: &str = "reading a range of events";
    let key = redis.keys.partition(stream, partition);
    let mut question = match backwards {
        false => redis::cmd("XRANGE"),
        true => redis::cmd("XREVRANGE"),
    };
    let (first, second) = if backwards { (to, from) } else { (from, to) };
    question.arg(&key).arg(first.to_string()).arg(second.to_string()).arg("COUNT").arg(count);
    let value = redis.connection.ask(DOING, &question).await.map_err(|error| scripts::name_the_key(error, &key))?;
    // A count of nothing is answered with nothing at all instead of an empty list.
    if matches!(value, Value::Nil) {
        return Ok(Vec::new());
    }
    reply::entries(value).map_err(|why| redis.connection.unexpected(DOING, format!("{key}: {why}")))
}

pub(super) async fn trim(redis: &Redis, stream: &StreamRef, partition: Partition) -> Result<Trimmed, BrokerError> {
    const DOING: &str = "trimming a partition";
    let groups_key = redis.keys.groups(stream, partition);
    for _ in 0..LOOKS {
        let answer = redis.connection.ask(DOING, redis::cmd("SMEMBERS").arg(&groups_key)).await;
        let value = answer.map_err(|error| scripts::name_the_key(error, &groups_key))?;
        let names = Reply::of(value).and_then(|names| names.map(reply::text).collect::<Result<Vec<_>, _>>());
        let names = names.map_err(|why| redis.connection.unexpected(DOING, why))?;
        let call = scripts::TRIM.on([redis.keys.partition(stream, partition), groups_key.clone()]);
        let call = names
            .iter()
            .fold(call, |call, name| call.key(redis.keys.fence(&super::place(stream, partition, name))).arg(name));
        if let Some(trimmed) = redis.asked(DOING, call, trimmed).await? {
            return Ok(trimmed);
        }
    }
    Ok(Trimmed::Held { reason: "processors are registering just now".to_owned() })
}

pub(super) async fn drop_oldest(
    redis: &Redis,
    stream: &StreamRef,
    partition: Partition,
    keep: u64,
) -> Result<u64, BrokerError> {
    const DOING: &str = "dropping the oldest events";
    let key = redis.keys.partition(stream, partition);
    let mut question = redis::cmd("XTRIM");
    question.arg(&key).arg("MAXLEN").arg("=").arg(keep);
    let value = redis.connection.ask(DOING, &question).await.map_err(|error| scripts::name_the_key(error, &key))?;
    reply::number(value).map_err(|why| redis.connection.unexpected(DOING, why))
}

fn trimmed(value: Value) -> Result<Option<Trimmed>, Unread> {
    let mut reply = Reply::of(value)?;
    let held = |reason| Ok(Some(Trimmed::Held { reason }));
    match reply.text("answer")?.as_str() {
        "changed" => Ok(None),
        "cut" => Ok(Some(Trimmed::Cut { entries: reply.number("entries")?, before: reply.id("before")? })),
        "held" => match (reply.text("why")?.as_str(), reply.text("group")?) {
            ("missing", name) => held(format!(
                "processor `{name}` is registered, but its consumer group is missing: run it, or unregister it with \
                 `processor forget`"
            )),
            ("foreign", name) => held(format!(
                "somebody else reads with XREADGROUP in the consumer group of processor `{name}`: its position is no \
                 longer known to be settled, until its owner has acquired the partition anew"
            )),
            ("empty", _) => held("nothing was ever sent to it, and nobody reads it".to_owned()),
            ("nobody", _) => held("no processor has a position in it yet".to_owned()),
            (other, _) => Err(format!("`{other}` is no reason")),
        },
        other => Err(format!("`{other}` is no answer to a trim")),
    }
}

fn read_facts(name: &str, value: Value) -> Result<Option<StreamFacts>, Unread> {
    let pairs = reply::pairs(value)?;
    if pairs.is_empty() {
        return Ok(None);
    }
    let find = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        found.ok_or_else(|| format!("the field `{wanted}` is missing"))
    };
    let text = |wanted: &str| reply::text(find(wanted)?).map_err(|why| format!("`{wanted}`: {why}"));
    let number = |wanted: &str| reply::number(find(wanted)?).map_err(|why| format!("`{wanted}`: {why}"));
    Ok(Some(StreamFacts {
        name: name.to_owned(),
        layout_version: number("version")?,
        partitions: number("partitions")?,
        slot_groups: number("slot_groups")?,
        keys: match text("keys")?.as_str() {
            "runnel" => KeyLayout::Runnel,
            "python" => KeyLayout::Python,
            other => return Err(format!("`keys`: `{other}` is no layout of keys that this version knows")),
        },
        partitioner: text("partitioner")?,
        codec: text("codec")?,
        created: reply::number(find("created")?).map_err(|why| format!("`created`: {why}"))?,
    }))
}
