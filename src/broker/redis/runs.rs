//! Runs: their begin and end in the log of tasks, and which are open.

use super::Redis;
use super::reply::{self, Reply, Unread};
use super::scripts::{self, Call};
use crate::broker::{Begun, BrokerError, OpenRun, StreamRef};
use crate::event::{Fields, Partition};

pub(super) async fn begin_run(
    redis: &Redis,
    stream: &StreamRef,
    partition: Partition,
    run: &OpenRun,
    event: &Fields,
    limit: u64,
) -> Result<Begun, BrokerError> {
    let call = about(run, scripts::BEGIN_RUN.on(keys_of(redis, stream, partition))).arg(limit);
    let read = |value| {
        let mut reply = Reply::of(value)?;
        match reply.text("answer")?.as_str() {
            "begun" => Ok(Begun::Now(reply.id("id")?)),
            "before" => Ok(Begun::Before),
            "taken" => Ok(Begun::Taken { entry: reply.text("entry")? }),
            "over" => Ok(Begun::Over),
            "full" => Ok(Begun::Full { length: reply.number("length")? }),
            other => Err(format!("`{other}` is no answer to the begin of a run")),
        }
    };
    redis.asked("beginning a run", with_fields(call, event), read).await
}

pub(super) async fn end_run(
    redis: &Redis,
    stream: &StreamRef,
    partition: Partition,
    run: &OpenRun,
    event: &Fields,
) -> Result<bool, BrokerError> {
    let call = about(run, scripts::END_RUN.on(keys_of(redis, stream, partition)));
    redis.asked("ending a run", with_fields(call, event), |value| Ok(reply::number::<u64>(value)? == 1)).await
}

pub(super) async fn open_runs(redis: &Redis, stream: &StreamRef) -> Result<Vec<(Partition, OpenRun)>, BrokerError> {
    const DOING: &str = "looking for open runs";
    let mut pipeline = redis::pipe();
    for partition in 0..stream.partitions {
        pipeline.cmd("HGETALL").arg(redis.keys.open(stream, Partition(partition)));
    }
    let mut open = Vec::new();
    for (partition, answer) in (0..).map(Partition).zip(redis.connection.ask_all(DOING, &pipeline).await?) {
        let texts = |pairs: Vec<(String, redis::Value)>| {
            pairs.into_iter().map(|(id, entry)| Ok((id, reply::text(entry)?))).collect::<Result<Vec<_>, Unread>>()
        };
        let mut pairs = reply::pairs(answer?).and_then(texts).map_err(|why| redis.connection.unexpected(DOING, why))?;
        pairs.sort_unstable();
        open.extend(
            pairs.into_iter().map(|(id, entry)| (partition, OpenRun { run_id: id.into(), entry: entry.into() })),
        );
    }
    Ok(open)
}

/// What both scripts work on.
fn keys_of(redis: &Redis, stream: &StreamRef, partition: Partition) -> [String; 3] {
    let keys = &redis.keys;
    [keys.open(stream, partition), keys.partition(stream, partition), keys.over(stream, partition)]
}

/// What both are told first.
fn about(run: &OpenRun, call: Call) -> Call {
    let activation = run.activation().map(|number| number.to_string());
    call.arg(&run.run_id).arg(&run.entry).arg(activation.unwrap_or_default())
}

fn with_fields(call: Call, fields: &Fields) -> Call {
    fields.iter().fold(call, |call, (name, value)| call.bytes(name).bytes(value))
}
