//! Membership: who is alive and what the plan is, for each processor and for the app.

use std::time::Duration;

use super::Redis;
use super::leadership::whole_ms;
use super::ownership::{stop_kind, stop_word};
use super::reply::{self, Reply, Unread};
use super::scripts;
use crate::broker::{BrokerError, Group, MemberEntry, Roll, Standing, Stop, Swapped, WorkerEntry};
use crate::clock::UnixMs;
use crate::event::Partition;

pub(super) async fn beat(
    redis: &Redis,
    group: &Group,
    member: &str,
    ttl: Duration,
    known: Option<u64>,
) -> Result<Roll, BrokerError> {
    let call = scripts::BEAT.on([redis.keys.members(group), redis.keys.beats(group)]);
    let call = call.arg(member).arg(ttl.as_millis().max(1));
    let call = match known {
        Some(generation) => call.arg(generation),
        None => call.arg("-1"),
    };
    redis.asked("beating", call, roll).await
}

pub(super) async fn swap(
    redis: &Redis,
    group: &Group,
    expected: u64,
    plan: &str,
    reap: &[String],
    reason: &str,
) -> Result<Swapped, BrokerError> {
    let call = scripts::SWAP.on([redis.keys.members(group), redis.keys.beats(group), redis.keys.bell(group)]);
    let call = reap.iter().fold(call.arg(expected).arg(plan).arg(reason), |call, member| call.arg(member));
    redis.asked("installing a plan", call, swapped).await
}

pub(super) async fn leave(redis: &Redis, group: &Group, member: &str) -> Result<(), BrokerError> {
    let call = scripts::LEAVE.on([redis.keys.members(group), redis.keys.beats(group), redis.keys.bell(group)]);
    redis.connection.run("leaving a group", call.arg(member)).await.map(drop)
}

pub(super) async fn note_stopped(
    redis: &Redis,
    group: &Group,
    partition: Partition,
    stop: Option<&Stop>,
) -> Result<(), BrokerError> {
    let mut call = scripts::NOTE_STOPPED.on([redis.keys.members(group), redis.keys.bell(group)]).arg(partition);
    if let Some(Stop { kind, at, error, since }) = stop {
        call = call.arg(stop_word(*kind)).arg(at).arg(since).arg(error);
    }
    redis.connection.run("telling of a stopped partition", call).await.map(drop)
}

pub(super) async fn announce(
    redis: &Redis,
    worker: &str,
    standing: Standing,
    ttl: Duration,
    about: &str,
) -> Result<UnixMs, BrokerError> {
    const DOING: &str = "announcing a worker";
    let ttl_ms = whole_ms(ttl);
    let standing = match standing {
        Standing::Member => "",
        Standing::Guest => " guest",
    };
    let call = scripts::ANNOUNCE.on([redis.keys.live()]).arg(worker).arg(ttl_ms).arg(standing);
    let now = redis.asked(DOING, call, reply::number).await?;
    let key = redis.keys.worker(worker);
    let mut pipeline = redis::pipe();
    pipeline.cmd("HSET").arg(&key).arg("about").arg(about);
    pipeline.cmd("PEXPIRE").arg(&key).arg(ttl_ms);
    for answer in redis.connection.ask_all(DOING, &pipeline).await? {
        match answer {
            // For status pages only: a server without memory has told who is alive, which is what counts.
            Err(BrokerError::Refused { code, .. }) if code == "OOM" => {}
            answer => drop(answer?),
        }
    }
    Ok(now)
}

pub(super) async fn depart(redis: &Redis, worker: &str) -> Result<(), BrokerError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("HDEL").arg(redis.keys.live()).arg(worker);
    pipeline.cmd("UNLINK").arg(redis.keys.worker(worker));
    redis.connection.ask_all("taking a worker off the list", &pipeline).await?.into_iter().try_for_each(|a| a.map(drop))
}

pub(super) async fn workers(redis: &Redis) -> Result<Vec<WorkerEntry>, BrokerError> {
    const DOING: &str = "listing workers";
    let mut pipeline = redis::pipe();
    pipeline.cmd("TIME");
    pipeline.cmd("HGETALL").arg(redis.keys.live());
    let mut answers = redis.connection.ask_all(DOING, &pipeline).await?.into_iter();
    let now = answers.next().expect("two questions have two answers")?;
    let all = answers.next().expect("two questions have two answers")?;
    let alive = alive(now, all).map_err(|why| redis.connection.unexpected(DOING, why))?;
    let mut pipeline = redis::pipe();
    for (name, _) in &alive {
        pipeline.cmd("HGET").arg(redis.keys.worker(name)).arg("about");
    }
    let about = redis.connection.ask_all(DOING, &pipeline).await?;
    let entry = |((name, dead_after), about): ((String, UnixMs), Result<redis::Value, BrokerError>)| {
        let about = match about? {
            redis::Value::Nil => String::new(),
            value => reply::text(value).map_err(|why| redis.connection.unexpected(DOING, why))?,
        };
        Ok(WorkerEntry { name, dead_after, about })
    };
    alive.into_iter().zip(about).map(entry).collect()
}

/// Who is alive, by name, and until when at most: the server's clock may have gone back.
fn alive(time: redis::Value, held: redis::Value) -> Result<Vec<(String, UnixMs)>, Unread> {
    let mut time = Reply::of(time)?;
    let now: UnixMs = time.number::<u64>("seconds")? * 1000 + time.number::<u64>("microseconds")? / 1000;
    let mut alive = Vec::new();
    for (name, held) in reply::pairs(held)? {
        let held = reply::text(held)?;
        // Open to foreign hands: what cannot be read is nobody, as for those who announce themselves.
        let mut words = held.split(' ').map(str::parse);
        let (Some(Ok(dead_after)), Some(Ok(ttl))) = (words.next(), words.next()) else { continue };
        let dead_after: UnixMs = now.saturating_add(ttl).min(dead_after);
        if dead_after > now {
            alive.push((name, dead_after));
        }
    }
    alive.sort_unstable();
    Ok(alive)
}

fn roll(value: redis::Value) -> Result<Roll, Unread> {
    let mut reply = Reply::of(value)?;
    let (now, since, generation) = (reply.number("now")?, reply.number("since")?, reply.number("generation")?);
    let plan = match reply.value("plan")? {
        redis::Value::Nil => None,
        plan => Some(reply::text(plan)?),
    };
    let mut flat = reply.list("members")?;
    let mut members = Vec::new();
    while !flat.is_empty() {
        let name = flat.text("member")?;
        members.push(MemberEntry { name, dead_after: flat.number("dead after")?, since: flat.number("since")? });
    }
    members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut flat = reply.list("stopped")?;
    let mut stopped = Vec::new();
    while !flat.is_empty() {
        let partition = Partition(flat.number("partition")?);
        // Advice only, and open to foreign hands: what cannot be read is as if it had not been told.
        stopped.extend(stop(&flat.text("stop")?).map(|stop| (partition, stop)));
    }
    stopped.sort_unstable_by_key(|(partition, _)| *partition);
    Ok(Roll { now, since, members, generation, plan, stopped })
}

fn stop(text: &str) -> Option<Stop> {
    let mut parts = text.splitn(4, ' ');
    Some(Stop {
        kind: stop_kind(parts.next()?).ok()??,
        at: parts.next()?.parse().ok()?,
        since: parts.next()?.parse().ok()?,
        error: parts.next()?.to_owned(),
    })
}

fn swapped(value: redis::Value) -> Result<Swapped, Unread> {
    let mut reply = Reply::of(value)?;
    match reply.text("answer")?.as_str() {
        "installed" => Ok(Swapped::Installed(reply.number("generation")?)),
        "outrun" => Ok(Swapped::Outrun { generation: reply.number("generation")?, plan: reply.text("plan")? }),
        other => Err(format!("`{other}` is no answer to a plan")),
    }
}
