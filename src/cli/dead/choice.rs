//! Which dead letters are meant: by id, processor, partition, key, and the time they were given up.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::broker::StreamRef;
use crate::error::Failure;
use crate::event::{EventId, Partition};
use crate::processor::dead_letter::Letter;
use crate::route::{Key, Partitioner};

use crate::cli::bounds::{Bound, range, read_bound, read_id};
use crate::cli::{End, Host, KeyOf, lookup};

use super::walk::Found;

/// What must hold of a letter that is meant. Nothing named: all letters.
pub(super) struct Choice {
    /// Of the letter, or of the event that was given up.
    pub(super) ids: BTreeSet<EventId>,
    pub(super) processor: Option<String>,
    pub(super) partitions: Vec<Partition>,
    key: Option<(Vec<u8>, KeyOf)>,
    /// The first and the last letter id, both included.
    pub(super) range: (EventId, EventId),
}

/// What a choice has to say to one entry.
pub(super) enum Verdict {
    Meant,
    NotMeant,
    /// It may be meant: its record cannot be decoded, so nobody knows its key.
    Keyless,
}

/// The arguments that choose.
pub(super) fn arguments(command: Command) -> Command {
    let bound = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("TIME|ID").value_parser(read_bound).help(help)
    };
    let partition = Arg::new("partition").long("partition").value_name("N").value_delimiter(',');
    command
        .arg(Arg::new("processor").long("processor").value_name("NAME").help("Those that this processor gave up"))
        .arg(Arg::new("key").long("key").value_name("KEY").help("Those whose record has this key"))
        .arg(partition.value_parser(value_parser!(u32)).action(ArgAction::Append).help("Those of these partitions"))
        .arg(bound("from", "Those given up from this time on, or from this letter on"))
        .arg(bound("to", "Those given up before this time, or up to this letter"))
}

/// The ids that a person names: of letters or of their events.
pub(super) fn ids() -> Arg {
    let ids = Arg::new("ids").value_name("ID").value_parser(read_id).action(ArgAction::Append).num_args(1..);
    ids.help("Ids of letters, or of the events that were given up")
}

/// Whether anything is named.
pub(super) fn is_given(matches: &ArgMatches) -> bool {
    ["ids", "processor", "key", "partition", "from", "to"].iter().any(|name| {
        // Commands that take no ids have no such argument.
        matches.try_contains_id(name).unwrap_or_default()
    })
}

impl Choice {
    pub(super) async fn of(matches: &ArgMatches, stream: &StreamRef, host: &dyn Host) -> Result<Self, End> {
        let ids = matches.try_get_many::<EventId>("ids").ok().flatten().into_iter().flatten().copied().collect();
        let bound = |name: &str| matches.try_get_one::<Bound>(name).ok().flatten().copied();
        let range = range(bound("from"), bound("to"))?;
        let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten();
        let named = matches.try_get_many::<u32>("partition").ok().flatten().into_iter().flatten().copied();
        let mut partitions = lookup::partitions(stream, named)?;
        let key = match text("key") {
            None => None,
            Some(key) => {
                let places = places(key, stream);
                partitions.retain(|partition| places.as_ref().is_none_or(|places| places.contains(partition)));
                Some((key.as_bytes().to_vec(), host.key_of(&stream.name).await?))
            }
        };
        Ok(Self {
            ids,
            processor: text("processor").cloned(),
            partitions: partitions.into_iter().map(Partition).collect(),
            key,
            range,
        })
    }

    /// Whether this entry is meant.
    pub(super) fn judge(&self, found: &Found) -> Verdict {
        let Ok(letter) = &found.letter else {
            // Only its own id and place are known of what is no letter.
            let is_meant = match self.processor.is_some() || self.key.is_some() {
                true => false,
                false => self.ids.is_empty() || self.ids.contains(&found.id),
            };
            return if is_meant { Verdict::Meant } else { Verdict::NotMeant };
        };
        let has_id = self.ids.is_empty() || self.ids.contains(&found.id) || self.ids.contains(&letter.about.id);
        if !has_id || self.processor.as_ref().is_some_and(|name| *name != letter.about.processor) {
            return Verdict::NotMeant;
        }
        self.has_key(letter)
    }

    fn has_key(&self, letter: &Letter) -> Verdict {
        match &self.key {
            None => Verdict::Meant,
            Some((wanted, key_of)) => match key_of(&letter.fields) {
                Some(key) if key.canonical() == *wanted => Verdict::Meant,
                Some(_) => Verdict::NotMeant,
                None => Verdict::Keyless,
            },
        }
    }
}

/// The partitions in which a key of this text can lie; none if that cannot be known.
///
/// A text does not tell whether the key is a number: all kinds that it can stand for are placed.
fn places(text: &str, stream: &StreamRef) -> Option<BTreeSet<u32>> {
    let partitioner = Partitioner::from_name(&stream.partitioner).ok()?;
    let keys = [
        Some(Key::from(text)),
        Some(Key::from(text.as_bytes())),
        text.parse().ok().map(Key::Int),
        text.parse().ok().map(Key::Large),
        text.parse().ok().map(Key::Float),
        text.parse().ok().map(Key::Bool),
    ];
    keys.into_iter().flatten().map(|key| partitioner.place(&key, stream.partitions).ok().map(|place| place.0)).collect()
}

/// Why a stream's keys are not known here.
pub(in crate::cli) fn no_keys(stream: &str, program: &str) -> Failure {
    Failure::Invalid(format!(
        "the keys of stream `{stream}` are known to the program that declares it, and {program} does not: use --key with \
         that program (`myapp dead list {stream} --key ..`), or choose here by id, --processor, --partition, --from or --to"
    ))
}
