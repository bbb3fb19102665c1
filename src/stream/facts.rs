//! What a stream declares against what is in Redis: who is right, and what to tell the other.

use crate::broker::{KeyLayout, LAYOUT_VERSION, StreamFacts};
use crate::error::Failure;
use crate::route::Partitioner;
use crate::settings::{Named, Settings, check_name};

use super::StreamSpec;

/// The facts that this process declares.
pub(crate) fn declared(spec: &StreamSpec, settings: &Settings) -> Result<StreamFacts, Failure> {
    let kind = if spec.python_compatible { Named::PythonStream } else { Named::Stream };
    if !spec.internal {
        check_name(kind, &spec.name)?;
    }
    let partitioner = partitioner(spec, settings)?;
    let partitions = spec.partitions.unwrap_or(settings.default_partition_count);
    let slot_groups = spec.slot_groups.unwrap_or(settings.slot_groups);
    let limit = |what: &str, value: u32, most: u32| match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(Failure::Invalid(format!(
            "stream `{}` cannot have {value} {what}: give a number from 1 to {most}",
            spec.name
        ))),
    };
    limit("partitions", partitions, 65_536)?;
    limit("slot groups", slot_groups, 16_384)?;
    if spec.partition_size.unwrap_or(settings.default_partition_size) == 0 {
        return Err(Failure::Invalid(format!(
            "stream `{}` cannot have partitions of size 0: nothing could be sent",
            spec.name
        )));
    }
    if spec.python_compatible && !matches!(partitioner, Partitioner::Python | Partitioner::PythonMd5) {
        return Err(Failure::Invalid(format!(
            "stream `{}` is python_compatible() but its partitioner is `{}`: use Partitioner::Python, or Partitioner::PythonMd5 \
             where Python runs without xxhash",
            spec.name,
            partitioner.name()
        )));
    }
    Ok(StreamFacts {
        name: spec.name.clone(),
        layout_version: LAYOUT_VERSION,
        partitions,
        slot_groups: if spec.python_compatible { partitions } else { slot_groups },
        keys: if spec.python_compatible { KeyLayout::Python } else { KeyLayout::Runnel },
        partitioner: partitioner.name().into_owned(),
        codec: match spec.primitive {
            true => "primitive".into(),
            false => spec.codec.clone().unwrap_or_else(|| settings.default_codec.clone()),
        },
        created: 0,
    })
}

/// The partitioner a stream declares, or the one the settings name.
pub(crate) fn partitioner(spec: &StreamSpec, settings: &Settings) -> Result<Partitioner, Failure> {
    match &spec.partitioner {
        Some(own) => Ok(own.clone()),
        None => Partitioner::from_name(&settings.default_partitioner)
            .map_err(|error| Failure::Invalid(format!("setting `default_partitioner`: {error}"))),
    }
}

/// Refuses a declaration that differs from what is in Redis in anything but the codec.
pub(crate) fn agree(ours: &StreamFacts, theirs: &StreamFacts) -> Result<(), Failure> {
    let name = &theirs.name;
    let refuse = |what: &str, ours: &dyn std::fmt::Display, theirs: &dyn std::fmt::Display, advice: &str| {
        Err(Failure::Disagreement(format!(
            "stream `{name}` has {what} {theirs} in Redis, but this process declares {ours}. {advice}"
        )))
    };
    const MOVE: &str = "It was fixed when the stream was first used, since events of one key must stay in one partition: \
                        declare the same here, or use a stream with a new name and let the old one run empty";
    if ours.layout_version != theirs.layout_version {
        let advice = "Workers of both versions must not share it: update the older ones, or use another key_prefix";
        return refuse("layout version", &ours.layout_version, &theirs.layout_version, advice);
    }
    if ours.keys != theirs.keys {
        let called = |keys| match keys {
            KeyLayout::Runnel => "runnel's own keys",
            KeyLayout::Python => "the keys of runnel for Python",
        };
        return refuse("key layout", &called(ours.keys), &called(theirs.keys), "Add or remove .python_compatible()");
    }
    if ours.partitions != theirs.partitions {
        return refuse("partition count", &ours.partitions, &theirs.partitions, MOVE);
    }
    if ours.slot_groups != theirs.slot_groups {
        return refuse("slot groups", &ours.slot_groups, &theirs.slot_groups, MOVE);
    }
    if ours.partitioner != theirs.partitioner {
        return refuse("partitioner", &ours.partitioner, &theirs.partitioner, MOVE);
    }
    Ok(())
}
