//! The fleet: who leads it, and which instants of its jobs are taken.
//!
//! What people only look at is asked with plain commands: who may but look may not run scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::Redis;
use super::reply::{self, Reply, Unread};
use super::scripts;
use crate::broker::{Bidden, BrokerError, Claim, ClaimKind, Claimed, Generation, JobEntry, JobStop, LeaderEntry, Term};
use crate::clock::UnixMs;

pub(super) async fn enroll(
    redis: &Redis,
    worker: &str,
    ttl: Duration,
    version: &str,
) -> Result<Generation, BrokerError> {
    let call = scripts::ENROLL.on([redis.keys.live(), redis.keys.lead()]);
    let call = call.arg(worker).arg(whole_ms(ttl)).arg(version);
    redis.asked("joining the fleet", call, |value| generation(&mut Reply::of(value)?)).await
}

pub(super) async fn bid(redis: &Redis, worker: &str, ttl: Duration) -> Result<Bidden, BrokerError> {
    let call = scripts::BID.on([redis.keys.lead()]).arg(worker).arg(whole_ms(ttl));
    redis.asked("bidding to lead", call, bidden).await
}

pub(super) async fn resign(redis: &Redis, worker: &str, term: Term) -> Result<bool, BrokerError> {
    let call = scripts::RESIGN.on([redis.keys.lead()]).arg(worker).arg(term);
    redis.asked("giving up the lead", call, yes).await
}

pub(super) async fn leader(redis: &Redis) -> Result<Option<LeaderEntry>, BrokerError> {
    const DOING: &str = "asking who leads";
    let key = redis.keys.lead();
    let mut pipeline = redis::pipe();
    pipeline.cmd("TIME");
    pipeline.cmd("HGETALL").arg(&key);
    let mut answers = redis.connection.ask_all(DOING, &pipeline).await?.into_iter();
    let now = answers.next().expect("two questions have two answers")?;
    let lead = answers.next().expect("two questions have two answers");
    let lead = lead.map_err(|error| scripts::name_the_key(error, &key))?;
    leading(now, lead).map_err(|why| redis.connection.unexpected(DOING, format!("{key}: {why}")))
}

pub(super) async fn claim(redis: &Redis, claim: &Claim) -> Result<Claimed, BrokerError> {
    let kind = match claim.kind {
        ClaimKind::Base => "base",
        ClaimKind::Once => "once",
        ClaimKind::Open => "open",
    };
    let call = scripts::CLAIM.on([redis.keys.lead(), redis.keys.cron()]);
    let call = call.arg(&claim.worker).arg(claim.term).arg(&claim.job).arg(claim.instant).arg(kind);
    redis.asked("claiming an instant of a job", call, claimed).await
}

pub(super) async fn close(redis: &Redis, claim: &Claim) -> Result<bool, BrokerError> {
    let call = scripts::CLOSE.on([redis.keys.cron()]).arg(claim.term).arg(&claim.job).arg(claim.instant);
    redis.asked("closing a claim of a job", call, yes).await
}

pub(super) async fn jobs(redis: &Redis) -> Result<Vec<JobEntry>, BrokerError> {
    const DOING: &str = "listing jobs";
    let key = redis.keys.cron();
    let answer = redis.connection.ask(DOING, redis::cmd("HGETALL").arg(&key)).await;
    let fields = reply::pairs(answer.map_err(|error| scripts::name_the_key(error, &key))?);
    let mut jobs = BTreeMap::new();
    for (field, value) in fields.map_err(|why| redis.connection.unexpected(DOING, format!("{key}: {why}")))? {
        // What foreign hands wrote is as if it were not there; a claim that meets it says what is wrong.
        let _ = reply::text(value).ok().and_then(|value| note(&mut jobs, &field, &value));
    }
    let oldest_first = |mut job: JobEntry| {
        job.open.sort_unstable();
        job
    };
    Ok(jobs.into_values().map(oldest_first).collect())
}

pub(super) async fn stop_job(redis: &Redis, job: &str, stop: Option<&JobStop>) -> Result<bool, BrokerError> {
    let mut call = scripts::STOP_JOB.on([redis.keys.cron()]).arg(job);
    if let Some(JobStop { error, since }) = stop {
        call = call.arg(serde_json::Value::from(error.as_str())).arg(since);
    }
    redis.asked("stopping a job or letting it go on", call, yes).await
}

/// A time to live as scripts get it: at least something, and no longer than numbers of theirs can tell.
pub(super) fn whole_ms(ttl: Duration) -> u64 {
    const A_CENTURY: u64 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(ttl.as_millis()).unwrap_or(A_CENTURY).clamp(1, A_CENTURY)
}

fn yes(value: Value) -> Result<bool, Unread> {
    Ok(reply::number::<u64>(value)? > 0)
}

fn generation(reply: &mut Reply) -> Result<Generation, Unread> {
    Ok(Generation { number: reply.number("generation")?, version: reply.text("version")? })
}

fn bidden(value: Value) -> Result<Bidden, Unread> {
    let mut reply = Reply::of(value)?;
    match reply.text("answer")?.as_str() {
        "leader" => Ok(Bidden::Leader {
            term: Term(reply.number("term")?),
            now: reply.number("now")?,
            generation: generation(&mut reply)?,
        }),
        "follower" => Ok(Bidden::Follower {
            by: reply.text("owner")?,
            term: Term(reply.number("term")?),
            wait: Duration::from_millis(reply.number("wait")?),
            now: reply.number("now")?,
        }),
        other => Err(format!("`{other}` is no answer to a bid")),
    }
}

fn claimed(value: Value) -> Result<Claimed, Unread> {
    match reply::text(value)?.as_str() {
        "ours" => Ok(Claimed::Ours { again: false }),
        "again" => Ok(Claimed::Ours { again: true }),
        "taken" => Ok(Claimed::Taken),
        "deposed" => Ok(Claimed::Deposed),
        other => Err(format!("`{other}` is no answer to a claim")),
    }
}

fn leading(time: Value, lead: Value) -> Result<Option<LeaderEntry>, Unread> {
    let mut time = Reply::of(time)?;
    let now: UnixMs = time.number::<u64>("seconds")? * 1000 + time.number::<u64>("microseconds")? / 1000;
    let mut fields: BTreeMap<_, _> = reply::pairs(lead)?.into_iter().collect();
    let Some(worker) = fields.remove("owner") else { return Ok(None) };
    let mut number = |name: &str, missing: Option<u64>| match fields.remove(name) {
        Some(value) => reply::number::<u64>(value).map_err(|why| format!("`{name}`: {why}")),
        None => missing.ok_or_else(|| format!("`{name}` is missing")),
    };
    // The server's clock may have gone back: no term lasts longer than its time to live.
    let longest = now.saturating_add(number("ttl", Some(u64::MAX))?);
    let until = number("until", None)?.min(longest);
    let (term, generation) = (Term(number("term", None)?), number("gen", Some(0))?);
    let version = fields.remove("version").map(reply::text).transpose()?.unwrap_or_default();
    let generation = Generation { number: generation, version };
    Ok((until > now).then_some(LeaderEntry { worker: reply::text(worker)?, term, until, generation }))
}

/// Takes note of one field of the jobs' book; of nothing that cannot be read. [`scripts::CLAIM`] lists them.
fn note(jobs: &mut BTreeMap<String, JobEntry>, field: &str, value: &str) -> Option<()> {
    let (kind, subject) = field.split_once(':')?;
    let (name, instant) = match kind {
        "open" => subject.split_once(':')?,
        _ => (subject, ""),
    };
    if name.is_empty() || name.contains(':') {
        return None;
    }
    let said = JobEntry::default();
    let said = match kind {
        "last" => JobEntry { last: Some(value.parse().ok()?), ..said },
        "fired" => JobEntry { fired: Some(value.parse().ok()?), ..said },
        "open" => {
            let term = value.strip_suffix(" again").unwrap_or(value);
            JobEntry { open: vec![(instant.parse().ok()?, Term(term.parse().ok()?))], ..said }
        }
        "stop" => JobEntry { stop: Some(serde_json::from_str(value).ok()?), ..said },
        _ => return None,
    };
    let job = jobs.entry(name.to_owned()).or_insert_with(|| JobEntry { name: name.to_owned(), ..JobEntry::default() });
    job.last = said.last.or(job.last);
    job.fired = said.fired.or(job.fired);
    job.open.extend(said.open);
    job.stop = said.stop.or(job.stop.take());
    Some(())
}
