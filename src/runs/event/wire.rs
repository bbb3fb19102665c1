//! How a [`RunEvent`] is read.
//!
//! By hand, since what serde derives for a tagged enum holds the members in a form of its own meanwhile, in which
//! numbers cannot be read once any package of the program has asked serde_json for `arbitrary_precision`.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::{Map, Value};

use super::{EventHead, RunEvent, TaskLogEvent};
use crate::nearest::did_you_mean;

const TYPES: [&str; 6] = ["task", "step", "attempt", "parameters", "run_config", "metadata"];

impl<'de> Deserialize<'de> for RunEvent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let members = Map::<String, Value>::deserialize(from)?;
        read(members).map_err(D::Error::custom)
    }
}

fn read(mut members: Map<String, Value>) -> Result<RunEvent, serde_json::Error> {
    let Some(Value::String(kind)) = members.remove("type") else {
        return Err(serde_json::Error::custom("an event of a run has a text `type`"));
    };
    if kind == "task" {
        return TaskLogEvent::deserialize(Value::Object(members)).map(RunEvent::Task);
    }
    if !TYPES.contains(&kind.as_str()) {
        let kind: String = kind.chars().take(64).collect();
        let expected = TYPES.join(", ");
        return Err(serde_json::Error::custom(format_args!(
            "{kind:?} is no type of event of a run: expected one of {expected}{}",
            did_you_mean(&kind, TYPES)
        )));
    }
    let head: EventHead = member(&mut members, "head")?;
    Ok(match kind.as_str() {
        "step" => RunEvent::Step { head, log: member(&mut members, "log")? },
        "attempt" => RunEvent::Attempt { head, step: member(&mut members, "step")?, log: member(&mut members, "log")? },
        "parameters" => {
            let branch = member(&mut members, "branch")?;
            RunEvent::Parameters { head, branch, parameters: member(&mut members, "parameters")? }
        }
        "run_config" => RunEvent::RunConfig {
            head,
            dag_hash: member(&mut members, "dag_hash")?,
            tag: member(&mut members, "tag")?,
            run_config: member(&mut members, "run_config")?,
        },
        _ => RunEvent::Metadata { head, metadata: member(&mut members, "metadata")? },
    })
}

/// Takes a member out. One that is not there is read as null, which is right for what is optional and an error else.
fn member<T: DeserializeOwned>(members: &mut Map<String, Value>, name: &str) -> Result<T, serde_json::Error> {
    let value = members.remove(name).unwrap_or_default();
    T::deserialize(value).map_err(|error| serde_json::Error::custom(format_args!("`{name}`: {error}")))
}
