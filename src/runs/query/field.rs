//! The fields of a line of the task log, their values, and how values compare.

use std::cmp::Ordering;
use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::runs::{Level, TaskLogEvent};

/// A field of a line of the task log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of `TaskLogEvent` of its name")]
pub enum Field {
    TaskName,
    Action,
    Created,
    RunId,
    EventId,
    Activation,
    Start,
    End,
    Runtime,
    Attempt,
    Kind,
    WorkerId,
    Host,
    Partition,
    Level,
    Message,
    ExcText,
    /// A member of `extra`.
    Extra(String),
}

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Of texts, and of words and ids by their text.
    Text(String),
    /// Of whole numbers.
    Int(i64),
    /// Of numbers, and of `created`.
    Float(f64),
    /// Of times.
    Time(DateTime<Utc>),
    /// Of members of `extra`.
    Json(Value),
}

impl Field {
    /// Every field with a name of its own.
    pub const NAMED: &'static [Self] = &[
        Self::TaskName,
        Self::Action,
        Self::Created,
        Self::RunId,
        Self::EventId,
        Self::Activation,
        Self::Start,
        Self::End,
        Self::Runtime,
        Self::Attempt,
        Self::Kind,
        Self::WorkerId,
        Self::Host,
        Self::Partition,
        Self::Level,
        Self::Message,
        Self::ExcText,
    ];

    /// Its name, as in [`TaskLogEvent`]; of a member of `extra`, the name of that member.
    pub fn name(&self) -> &str {
        match self {
            Self::TaskName => "task_name",
            Self::Action => "action",
            Self::Created => "created",
            Self::RunId => "run_id",
            Self::EventId => "event_id",
            Self::Activation => "activation",
            Self::Start => "start",
            Self::End => "end",
            Self::Runtime => "runtime",
            Self::Attempt => "attempt",
            Self::Kind => "kind",
            Self::WorkerId => "worker_id",
            Self::Host => "host",
            Self::Partition => "partition",
            Self::Level => "level",
            Self::Message => "message",
            Self::ExcText => "exc_text",
            Self::Extra(name) => name,
        }
    }

    /// Its value in that line, if it has one.
    pub fn of(&self, event: &TaskLogEvent) -> Option<Literal> {
        let text = |text: &str| Some(Literal::Text(text.to_owned()));
        let int = |n: u32| Some(Literal::Int(n.into()));
        match self {
            Self::TaskName => text(&event.task_name),
            Self::Action => text(event.action.as_str()),
            Self::Created => Some(Literal::Float(event.created)),
            Self::RunId => text(event.run_id.as_str()),
            Self::EventId => Some(Literal::Text(event.event_id.to_string())),
            Self::Activation => int(event.activation),
            Self::Start => event.start.map(Literal::Time),
            Self::End => event.end.map(Literal::Time),
            Self::Runtime => event.runtime.map(Literal::Float),
            Self::Attempt => int(event.attempt),
            Self::Kind => text(event.kind.as_str()),
            Self::WorkerId => text(&event.worker_id),
            Self::Host => text(&event.host),
            Self::Partition => event.partition.and_then(int),
            Self::Level => text(event.level.as_str()),
            Self::Message => text(&event.message),
            Self::ExcText => event.exc_text.as_deref().and_then(text),
            Self::Extra(name) => event.extra.get(name).cloned().map(Literal::Json),
        }
    }

    /// The order of its words, where words have one.
    pub(super) fn ranks(&self) -> Option<Vec<&'static str>> {
        (*self == Self::Level).then(|| Level::ALL.iter().map(|level| level.as_str()).collect())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extra(name) => write!(f, "extra.{name}"),
            named => f.write_str(named.name()),
        }
    }
}

impl Literal {
    /// How a stored value compares with a wanted one; nothing if the two are of kinds that do not compare.
    pub fn compare(&self, wanted: &Self) -> Option<Ordering> {
        match (self, wanted) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Json(a), Self::Json(b)) => compare_json(a, b),
            _ => None,
        }
    }
}

/// How a stored JSON value compares with a wanted one. A wanted text may also be what a number or a word is written
/// as, since that is all that a command line or an address can say.
fn compare_json(stored: &Value, wanted: &Value) -> Option<Ordering> {
    match (stored, wanted) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(_) | Value::Bool(_) | Value::Null, Value::String(text)) => {
            let wanted: Value = serde_json::from_str(text).ok()?;
            (!wanted.is_string()).then(|| compare_json(stored, &wanted))?
        }
        (a, b) => (a == b).then_some(Ordering::Equal),
    }
}
