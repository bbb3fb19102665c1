//! `dead retry | drop`: does it to the letters that are meant, and tells how many.
//!
//! All of them are looked for before anything is done, so that an event that fails again at once is not retried for ever.
//! Of each only its ids are kept. What was done is told also where the rest could not be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use crate::broker::Retried;
use crate::error::{Doing, Failure};
use crate::event::{EventId, Partition};

use crate::cli::output::grouped;
use crate::cli::{End, Out};

use super::Letters;
use super::choice;
use super::walk::walk;

/// Letters asked for at once: what was done of them is known when the next ones are refused.
const AT_ONCE: usize = 100;

pub(super) fn command(name: &'static str, about: &'static str) -> Command {
    let stream = Arg::new("stream").value_name("STREAM").required(true);
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).help("All letters of the stream");
    let others = ["ids", "processor", "key", "partition", "from", "to"];
    choice::arguments(Command::new(name).about(about).arg(stream).arg(choice::ids()))
        .arg(all.conflicts_with_all(others))
}

/// Whoever names nothing may mean nothing or everything: neither is done.
pub(super) fn refuse_without_choice(verb: &str, matches: &ArgMatches) -> Result<(), End> {
    let is_all = matches.try_get_one::<bool>("all").ok().flatten();
    match is_all {
        Some(false) if !choice::is_given(matches) => Err(End::Usage(format!(
            "{verb} which letters? Name them by id, --processor, --key, --partition, --from or --to, or say --all"
        ))),
        _ => Ok(()),
    }
}

/// What was done.
#[derive(Default, Serialize)]
struct Done {
    stream: String,
    /// `retried` or `dropped`.
    action: &'static str,
    /// Letters that were meant.
    letters: u64,
    done: u64,
    /// Somebody else had taken them meanwhile.
    gone: u64,
    /// Ids that were named, and that no letter has.
    unknown: Vec<String>,
    /// Entries that something else has written: they cannot be retried.
    no_letters: u64,
    partitions: Vec<DoneThere>,
}

#[derive(Serialize)]
struct DoneThere {
    partition: u32,
    done: u64,
    gone: u64,
}

/// The letters that are meant: their partition, their event, their own id. In this order events go back.
type Meant = BTreeMap<Partition, Vec<(EventId, EventId)>>;

pub(super) async fn run(is_retry: bool, letters: &Letters<'_>, out: &mut Out) -> Result<(), End> {
    let mut done = Done {
        stream: letters.stream.name.clone(),
        action: if is_retry { "retried" } else { "dropped" },
        ..Done::default()
    };
    let meant = gather(is_retry, letters, &mut done).await?;
    let outcome = do_it(is_retry, letters, &meant, &mut done).await;
    tell(&done, out)?;
    Ok(outcome?)
}

async fn gather(is_retry: bool, letters: &Letters<'_>, done: &mut Done) -> Result<Meant, End> {
    let ids = &letters.choice.ids;
    let mut meant = Meant::new();
    let mut named = BTreeSet::new();
    let met = walk(letters.broker, &letters.stream, &letters.choice, |found| {
        let event = found.letter.as_ref().map(|letter| letter.about.id).ok();
        if is_retry && event.is_none() {
            done.no_letters += 1;
            return Ok(ControlFlow::Continue(()));
        }
        named.extend([Some(found.id), event].into_iter().flatten().filter(|id| ids.contains(id)));
        meant.entry(found.partition).or_default().push((event.unwrap_or(found.id), found.id));
        Ok(ControlFlow::Continue(()))
    });
    let met = met.await?;
    letters.tell_keyless(&met);
    for there in meant.values_mut() {
        there.sort_unstable();
    }
    prefer_letters(ids, &mut meant);
    done.unknown = ids.difference(&named).map(EventId::to_string).collect();
    done.letters = meant.values().map(|there| there.len() as u64).sum();
    if meant.is_empty() {
        letters.refuse_unknown_processor(&met).await?;
        return Err(match done.no_letters {
            0 => letters.nothing(),
            some => Failure::NotFound(format!(
                "{some} entries among the dead letters of stream `{}` were written by something else and cannot be retried; \
                 `dead list` shows them, `dead drop` deletes them",
                letters.stream.name
            ))
            .into(),
        });
    }
    Ok(meant)
}

/// An id may be that of a letter and, in another partition, that of an event: then the letter alone is meant.
fn prefer_letters(ids: &BTreeSet<EventId>, meant: &mut Meant) {
    if ids.is_empty() {
        return;
    }
    let own: BTreeSet<EventId> =
        meant.values().flatten().map(|(_, letter)| *letter).filter(|letter| ids.contains(letter)).collect();
    meant.values_mut().for_each(|there| there.retain(|(event, letter)| own.contains(letter) || !own.contains(event)));
    meant.retain(|_, there| !there.is_empty());
}

async fn do_it(is_retry: bool, letters: &Letters<'_>, meant: &Meant, done: &mut Done) -> Result<(), Failure> {
    let (broker, stream) = (letters.broker, &letters.stream);
    let verb = if is_retry { "retry" } else { "drop" };
    for (&partition, there) in meant {
        done.partitions.push(DoneThere { partition: partition.0, done: 0, gone: 0 });
        for some in there.chunks(AT_ONCE) {
            let ids: Vec<EventId> = some.iter().map(|(_, letter)| *letter).collect();
            let doing = || format!("{verb} dead letters of partition {partition} of stream `{}`", stream.name);
            let count = match is_retry {
                true => {
                    let answers = broker.retry_letters(stream, partition, &ids).await.doing(doing)?;
                    answers.iter().filter(|answer| matches!(answer, Retried::Back(_))).count() as u64
                }
                false => broker.drop_letters(stream, partition, &ids).await.doing(doing)?,
            };
            let gone = ids.len() as u64 - count;
            done.done += count;
            done.gone += gone;
            if let Some(place) = done.partitions.last_mut() {
                place.done += count;
                place.gone += gone;
            }
        }
    }
    Ok(())
}

fn tell(done: &Done, out: &mut Out) -> Result<(), End> {
    if out.is_json() {
        return out.object(done);
    }
    out.table(
        ["PARTITION", &done.action.to_uppercase(), "GONE"],
        done.partitions.iter().map(|place| [place.partition.to_string(), grouped(place.done), grouped(place.gone)]),
    )?;
    let what = if done.action == "retried" { "went back into stream" } else { "were deleted from stream" };
    let mut text = format!("{} of {} letters {what} {}", grouped(done.done), grouped(done.letters), done.stream);
    if done.gone > 0 {
        text.push_str(&format!("; {} were gone already", grouped(done.gone)));
    }
    if !done.unknown.is_empty() {
        text.push_str(&format!("; there is no letter (any more) for {}", done.unknown.join(", ")));
    }
    if done.no_letters > 0 {
        text.push_str(&format!("; {} entries are no letters, and were left alone", grouped(done.no_letters)));
    }
    out.line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_a_letter_has_means_no_event() {
        let id = |ms| EventId::new(ms, 0);
        let mut meant =
            Meant::from([(Partition(0), vec![(id(1), id(9))]), (Partition(1), vec![(id(9), id(12)), (id(3), id(13))])]);

        prefer_letters(&BTreeSet::from([id(9), id(3)]), &mut meant);

        assert_eq!(meant, Meant::from([(Partition(0), vec![(id(1), id(9))]), (Partition(1), vec![(id(3), id(13))])]));
    }
}
