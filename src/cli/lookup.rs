//! Streams and processors by the names people write.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Arg, ArgAction};

use crate::broker::{Broker, DEAD, Group, PartitionSurvey, StreamFacts, StreamRef};
use crate::error::{Doing, Failure};
use crate::nearest::did_you_mean;
use crate::settings::shown;

use super::report::StreamReport;

/// Refuses a name that is not among the known ones, with the nearest.
pub(super) fn among(kind: &str, name: &str, known: &[String]) -> Result<(), Failure> {
    if known.iter().any(|one| one == name) { Ok(()) } else { Err(none_such(kind, name, known)) }
}

fn none_such(kind: &str, name: &str, known: &[String]) -> Failure {
    let near = match did_you_mean(name, known.iter().map(String::as_str)) {
        near if !near.is_empty() => near,
        _ if known.is_empty() => format!("; there are no {kind}s yet"),
        _ if known.len() <= 20 => format!("; there are: {}", known.join(", ")),
        _ => String::new(),
    };
    Failure::NotFound(format!("there is no {kind} `{}`{near}", shown(name)))
}

/// The stream of that name.
pub(super) async fn stream(broker: &dyn Broker, name: &str) -> Result<StreamRef, Failure> {
    // Looked up among the names first: a name that could not be one must not become part of a key.
    let known = names(broker).await?;
    if let Some(of) = name.strip_suffix(DEAD).filter(|of| known.iter().any(|one| one == of)) {
        return Err(Failure::NotFound(format!(
            "`{name}` are the dead letters of stream `{of}`: `dead list {of}` shows them"
        )));
    }
    among("stream", name, &known)?;
    let facts = broker.stream(name).await.doing(|| format!("look up stream `{name}`"))?;
    facts.map(Arc::new).ok_or_else(|| none_such("stream", name, &[]))
}

/// The partitions that are meant: those that were named, else all of them.
pub(super) fn partitions(stream: &StreamFacts, named: impl IntoIterator<Item = u32>) -> Result<Vec<u32>, Failure> {
    let named: BTreeSet<u32> = named.into_iter().collect();
    match named.last() {
        None => Ok((0..stream.partitions).collect()),
        Some(last) if *last < stream.partitions => Ok(named.into_iter().collect()),
        Some(none) => Err(Failure::NotFound(format!(
            "stream `{}` has partitions 0 to {}, and no {none}",
            stream.name,
            stream.partitions - 1
        ))),
    }
}

/// The names of all streams.
pub(super) async fn names(broker: &dyn Broker) -> Result<Vec<String>, Failure> {
    broker.streams().await.doing(|| "list the streams".into())
}

/// A stream and what lies in it.
pub(super) struct Surveyed {
    pub(super) stream: StreamRef,
    pub(super) partitions: Vec<PartitionSurvey>,
    /// What lies in its dead letters; nothing where these are dead letters themselves.
    pub(super) letters: Vec<PartitionSurvey>,
}

/// What lies in this stream.
pub(super) async fn survey(broker: &dyn Broker, stream: StreamRef) -> Result<Surveyed, Failure> {
    let look =
        async |stream: &StreamRef| broker.survey(stream).await.doing(|| format!("look at stream `{}`", stream.name));
    let (partitions, letters) = (look(&stream).await?, look(&Arc::new(stream.dead_letters())).await?);
    Ok(Surveyed { stream, partitions, letters })
}

/// Whether it is a stream or a processor of runnel's own, by its name.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with("__")
}

/// `--all`, of commands that list.
pub(super) fn all() -> Arg {
    Arg::new("all")
        .long("all")
        .action(ArgAction::SetTrue)
        .help("Also what is runnel's own: the task log and its projection")
}

/// Leaves out what is runnel's own, unless something is wrong with it.
pub(super) fn without_own(streams: &mut Vec<StreamReport>) {
    for stream in streams.iter_mut() {
        stream.processors.retain(|processor| !is_own(&processor.name) || !processor.stopped.is_empty());
    }
    streams.retain(|stream| !is_own(&stream.name) || !stream.processors.is_empty());
}

/// All streams and what lies in them.
pub(super) async fn everything(broker: &dyn Broker) -> Result<Vec<Surveyed>, Failure> {
    let mut all = Vec::new();
    for name in names(broker).await? {
        let facts = broker.stream(&name).await.doing(|| format!("look up stream `{name}`"))?;
        // One that was erased since its name was listed is no more.
        if let Some(facts) = facts {
            all.push(survey(broker, Arc::new(facts)).await?);
        }
    }
    Ok(all)
}

impl Surveyed {
    /// The names of the registered processors, in order.
    pub(super) fn processors(&self) -> Vec<String> {
        let groups = self.partitions.iter().flat_map(|partition| &partition.groups);
        let mut names: Vec<String> = groups.filter(|group| group.registered).map(|group| group.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// It, and its dead letters as the stream that they are for their processors.
    fn with_letters(mut self) -> [Self; 2] {
        let (stream, partitions) = (Arc::new(self.stream.dead_letters()), std::mem::take(&mut self.letters));
        [self, Self { stream, partitions, letters: Vec::new() }]
    }
}

/// The stream that this processor reads, surveyed. Where several streams have one of that name, `stream` must say which.
pub(super) async fn processor(
    broker: &dyn Broker,
    name: &str,
    of_stream: Option<&String>,
) -> Result<(Group, Surveyed), Failure> {
    let some = match of_stream {
        // Dead letters are found with their stream.
        Some(of) => vec![survey(broker, stream(broker, of.strip_suffix(DEAD).unwrap_or(of)).await?).await?],
        None => everything(broker).await?,
    };
    let read = some.into_iter().flat_map(Surveyed::with_letters);
    let all: Vec<Surveyed> = read.filter(|one| of_stream.is_none_or(|of| *of == one.stream.name)).collect();
    let known: Vec<String> = all.iter().flat_map(Surveyed::processors).collect();
    let mut found: Vec<Surveyed> =
        all.into_iter().filter(|surveyed| surveyed.processors().iter().any(|one| one == name)).collect();
    match found.len() {
        0 => Err(none_such("processor", name, &known)),
        1 => {
            let surveyed = found.remove(0);
            Ok((Group { stream: surveyed.stream.clone(), processor: name.into() }, surveyed))
        }
        _ => {
            let streams: Vec<&str> = found.iter().map(|surveyed| surveyed.stream.name.as_str()).collect();
            Err(Failure::Invalid(format!(
                "there is a processor `{name}` on several streams ({}): say which with --stream",
                streams.join(", ")
            )))
        }
    }
}
