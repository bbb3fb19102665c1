//! Ownership of places: typed callers of the scripts that take, use and give up fences.

use super::Redis;
use super::letters;
use super::reply::{self, Reply, Unread};
use super::scripts::{self, Call};
use crate::broker::{
    ABOUT, Acquire, Acquired, BrokerError, Commit, Committed, Epoch, Fence, Forgotten, Front, FrontMark, Group,
    Intervention, Mark, Note, Owned, Place, RETRIED, Renew, Renewed, Start, Stop, StopKind,
};
use crate::event::{EventId, Partition};

/// The most ids that a done set is made of when a group was read by XREADGROUP before. Above, they are run again.
const MOST_DONE: usize = 10_000;

pub(super) async fn acquire(redis: &Redis, wish: &Acquire) -> Result<Acquired, BrokerError> {
    const DOING: &str = "acquiring a partition";
    let place = &wish.place;
    let call = scripts::ACQUIRE
        .on(all_keys(redis, place))
        .arg(&wish.nonce)
        .arg(&wish.worker)
        .arg(wish.ttl.as_millis().max(1))
        .arg(&place.group.processor)
        .arg(start_text(wish.start))
        .arg(wish.joined)
        .arg(MOST_DONE);
    redis.asked(DOING, letters::marked(call, &place.group.stream), acquired).await
}

pub(super) async fn commit(redis: &Redis, commits: &[Commit]) -> Vec<Result<Committed, BrokerError>> {
    let call = |commit: &Commit| commit_call(redis, commit);
    redis.asked_all("committing positions", commits.iter().map(call), committed).await
}

pub(super) async fn renew(redis: &Redis, renewals: &[Renew]) -> Vec<Result<Renewed, BrokerError>> {
    let call = |renewal: &Renew| {
        let Renew { place, fence, ttl, read } = renewal;
        let partition = redis.keys.partition(&place.group.stream, place.partition);
        let call = scripts::RENEW.on([redis.keys.fence(place), partition]);
        let call = call.arg(&fence.nonce).arg(fence.epoch).arg(ttl.as_millis().max(1));
        letters::marked(call.arg(&place.group.processor).arg(read), &place.group.stream)
    };
    redis.asked_all("renewing leases", renewals.iter().map(call), renewed).await
}

pub(super) async fn release(
    redis: &Redis,
    place: &Place,
    fence: &Fence,
    mark: Option<&Mark>,
) -> Result<bool, BrokerError> {
    let mut call = scripts::RELEASE.on([redis.keys.fence(place)]).arg(&fence.nonce).arg(fence.epoch);
    if let Some(Mark { kind, at, error }) = mark {
        call = call.arg(stop_word(*kind)).arg(at).arg(error);
    }
    redis.asked("releasing a partition", call, |value| Ok(reply::number::<u64>(value)? == 1)).await
}

pub(super) async fn intervene(redis: &Redis, place: &Place, change: &Intervention) -> Result<EventId, BrokerError> {
    const DOING: &str = "changing a partition's position or state";
    let word = match change {
        Intervention::Reset(_) => "reset",
        Intervention::Resume => "resume",
        Intervention::Skip => "skip",
        Intervention::DeadLetter { .. } => "dead-letter",
        Intervention::Pause => "pause",
    };
    let mut call = scripts::INTERVENE.on(all_keys(redis, place)).arg(&place.group.processor).arg(word);
    match change {
        Intervention::Reset(start) => call = call.arg(start_text(*start)),
        Intervention::DeadLetter { id, about, limit } => {
            place.group.stream.refuse_letters(&redis.connection.target().address, DOING)?;
            call = call.key(redis.keys.letters(&place.group.stream, place.partition));
            call = call.arg(id).arg(limit).arg(ABOUT).bytes(about).arg(RETRIED);
        }
        Intervention::Resume | Intervention::Skip | Intervention::Pause => {}
    }
    let position = redis.asked(DOING, call, reply::id).await?;
    // The roster lies in another slot. Should this be lost, the members find out at their next try or beat.
    super::roster::note_stopped(redis, &place.group, place.partition, None).await?;
    Ok(position)
}

/// Lets retention wait for a processor in every partition. Goes on when memory is full: a worker must be able to start.
pub(super) async fn register(redis: &Redis, group: &Group) -> Result<(), BrokerError> {
    let keys = (0..group.stream.partitions).map(|number| redis.keys.groups(&group.stream, Partition(number)));
    let calls = keys.map(|key| scripts::ENLIST.on([key]).arg(&group.processor));
    redis.asked_all("registering a processor", calls, |_| Ok(())).await.into_iter().collect()
}

pub(super) async fn forget(redis: &Redis, group: &Group) -> Result<Forgotten, BrokerError> {
    const DOING: &str = "unregistering a processor";
    let all: Vec<Place> = (0..group.stream.partitions)
        .map(|number| Place { group: group.clone(), partition: Partition(number) })
        .collect();
    let mut registered = 0;
    // First a look at all of them: it is better to refuse before half of them are gone.
    for step in ["look", "remove"] {
        registered = 0;
        let call = |place: &Place| scripts::FORGET.on(all_keys(redis, place)).arg(&group.processor).arg(step);
        for (place, answer) in all.iter().zip(redis.asked_all(DOING, all.iter().map(call), forgotten).await) {
            match answer? {
                Held::By(by) => return Ok(Forgotten::Owned { by, partition: place.partition }),
                Held::Free { was_registered } => registered += u32::from(was_registered),
            }
        }
    }
    let mut roster = redis::cmd("UNLINK");
    roster.arg(redis.keys.members(group)).arg(redis.keys.beats(group)).arg(redis.keys.bell(group));
    redis.connection.ask(DOING, &roster).await?;
    Ok(Forgotten::Gone { partitions: registered })
}

enum Held {
    By(String),
    Free { was_registered: bool },
}

fn forgotten(value: redis::Value) -> Result<Held, Unread> {
    let mut reply = Reply::of(value)?;
    match reply.text("answer")?.as_str() {
        "owned" => Ok(Held::By(reply.text("owner")?)),
        "free" => Ok(Held::Free { was_registered: reply.number::<u64>("registered")? == 1 }),
        other => Err(format!("`{other}` is no answer to unregistering")),
    }
}

fn all_keys(redis: &Redis, place: &Place) -> [String; 4] {
    let (keys, stream) = (&redis.keys, &place.group.stream);
    let partition = place.partition;
    [keys.fence(place), keys.partition(stream, partition), keys.done(place), keys.groups(stream, partition)]
}

fn start_text(start: Start) -> String {
    match start {
        Start::Beginning => EventId::ZERO.to_string(),
        Start::End => "$".to_owned(),
        Start::After(id) => id.to_string(),
    }
}

/// The word for it in the fence.
pub(super) fn stop_word(kind: StopKind) -> &'static str {
    match kind {
        StopKind::Paused => "paused",
        StopKind::Halted => "halted",
        StopKind::Quarantined => "quarantined",
    }
}

/// The kind that the fence means; none if it means that nothing is stopped.
pub(super) fn stop_kind(word: &str) -> Result<Option<StopKind>, Unread> {
    match word {
        "" | "ok" => Ok(None),
        "paused" => Ok(Some(StopKind::Paused)),
        "halted" => Ok(Some(StopKind::Halted)),
        "quarantined" => Ok(Some(StopKind::Quarantined)),
        other => Err(format!("`{other}` is no state of a partition")),
    }
}

fn commit_call(redis: &Redis, commit: &Commit) -> Call {
    let Commit { place, fence, n, position, entries_read, seen, front, done, passed, letters, letters_limit } = commit;
    // One field of the fence proves nonce, epoch and n in one comparison.
    let token = |n: u64| format!("{} {n} {}", fence.epoch, fence.nonce);
    // Commits are numbered from 1; nothing comes before another number, and no token reads like this.
    let expected = n.checked_sub(1).map_or_else(|| "none".to_owned(), token);
    let partition = redis.keys.partition(&place.group.stream, place.partition);
    let script = if letters.is_empty() { &scripts::COMMIT } else { &scripts::COMMIT_WITH_LETTERS };
    let call = script.on([redis.keys.fence(place), partition]);
    let is_plain = matches!(front, FrontMark::Keep) && done.is_empty() && passed.is_empty() && letters.is_empty();
    let call = if is_plain { call } else { call.key(redis.keys.done(place)) };
    let call = call.arg(expected).arg(token(*n)).arg(&place.group.processor).arg(position);
    let call = match entries_read {
        Some(count) => call.arg(count),
        None => call.arg("-1"),
    };
    let call = call.arg(seen);
    if is_plain {
        return call;
    }
    let call = match front {
        FrontMark::Keep => call.arg("").arg(0),
        FrontMark::Clear => call.arg("-").arg(0),
        FrontMark::Set { id, fails } => call.arg(id).arg(fails),
    };
    let call = call.arg(done.len()).arg(passed.len());
    let call = done.iter().chain(passed).fold(call, |call, id| call.arg(id));
    if letters.is_empty() {
        return call;
    }
    letters::added(call.key(redis.keys.letters(&place.group.stream, place.partition)), letters, *letters_limit)
}

fn committed(value: redis::Value) -> Result<Committed, Unread> {
    if matches!(value, redis::Value::Int(0 | 1)) {
        return Ok(Committed::Applied);
    }
    let mut reply = Reply::of(value)?;
    match reply.text("answer")?.as_str() {
        "fenced" => Ok(Committed::Fenced { by: reply.text("owner")? }),
        "gap" => Ok(Committed::Gap { have: reply.number("n")? }),
        "missing" => Ok(Committed::GroupMissing),
        "full" => Ok(Committed::LettersFull { have: reply.number("letters")? }),
        other => Err(format!("`{other}` is no answer to a commit")),
    }
}

fn renewed(value: redis::Value) -> Result<Renewed, Unread> {
    let mut reply = Reply::of(value)?;
    match reply.text("answer")?.as_str() {
        "fenced" => Ok(Renewed::Fenced { by: reply.text("owner")? }),
        "missing" => Ok(Renewed::GroupMissing),
        "ours" => Ok(Renewed::Ours {
            last: reply.id("last id")?,
            lag: reply.number_if_known("lag")?,
            entries_read: reply.number_if_known("entries read")?,
            notes: reply.list("notes")?.map(note).collect::<Result<_, _>>()?,
        }),
        other => Err(format!("`{other}` is no answer to a renewal")),
    }
}

fn acquired(value: redis::Value) -> Result<Acquired, Unread> {
    let mut reply = Reply::of(value)?;
    match reply.text("answer")?.as_str() {
        "spent" => Ok(Acquired::Spent),
        "held" => Ok(Acquired::Held {
            by: reply.text("owner")?,
            wait: std::time::Duration::from_millis(reply.number("time left")?),
        }),
        "stopped" => Ok(Acquired::Stopped(Stop {
            kind: stop_kind(&reply.text("state")?)?.ok_or("it is stopped in no state")?,
            at: reply.id("event")?,
            error: reply.text("error")?,
            since: reply.number("time")?,
        })),
        "owned" => Ok(Acquired::Owned(Box::new(owned(&mut reply)?))),
        other => Err(format!("`{other}` is no answer to an acquisition")),
    }
}

fn owned(reply: &mut Reply) -> Result<Owned, Unread> {
    let epoch = Epoch(reply.number("epoch")?);
    let position = reply.id("position")?;
    let last = reply.id("last id")?;
    let n = reply.number("n")?;
    let entries_read = reply.number_if_known("entries read")?;
    let unclean = reply.number::<u64>("unclean")? == 1;
    let seen = reply.id("seen")?;
    let front = reply.text("front")?;
    let (fails, crashes) = (reply.number("fails")?, reply.number("crashes")?);
    let front = match front.as_str() {
        "" => None,
        id => Some(Front { id: id.parse().map_err(|error| format!("`front`: {error}"))?, fails, crashes }),
    };
    let mut done: Vec<EventId> = reply.list("done ids")?.map(reply::id).collect::<Result<_, _>>()?;
    done.sort_unstable();
    let notes = reply.list("notes")?.map(note).collect::<Result<_, _>>()?;
    Ok(Owned { epoch, position, last, n, entries_read, unclean, seen, front, done, notes })
}

fn note(value: redis::Value) -> Result<Note, Unread> {
    let mut reply = Reply::of(value)?;
    Ok(match reply.text("note")?.as_str() {
        "group_recreated" => Note::GroupRecreated,
        "begun" => Note::Begun,
        "migrated" => Note::Migrated { pending: reply.number("pending")?, done: reply.number("done")? },
        "migrated_with_repeats" => Note::MigratedWithRepeats,
        "foreign_consumers" => Note::ForeignConsumers,
        "moved_back" => Note::MovedBack { from: reply.id("from")?, to: reply.id("to")? },
        "forward_move_ignored" => Note::ForwardMoveIgnored { to: reply.id("to")? },
        "tail_lost" => Note::TailLost { from: reply.id("from")?, to: reply.id("to")? },
        "gap" => Note::Gap { entries: reply.number("entries")? },
        "read_position_ahead" => Note::ReadPositionAhead,
        other => return Err(format!("`{other}` is no note")),
    })
}
