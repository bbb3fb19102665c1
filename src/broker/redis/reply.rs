//! Reads answers, which are lists of values, one after the other. What is not as expected is said, never assumed.

use redis::Value;

use crate::event::{Entry, EventId, Fields};

/// What was wrong with an answer, in words.
pub(super) type Unread = String;

/// The values of a list, to be read in order.
#[derive(Debug)]
pub(super) struct Reply {
    values: std::vec::IntoIter<Value>,
}

impl Reply {
    /// Opens a list.
    pub(super) fn of(value: Value) -> Result<Self, Unread> {
        match value {
            Value::Array(values) => Ok(Self { values: values.into_iter() }),
            other => Err(format!("expected a list, got {}", kind(&other))),
        }
    }

    /// The next value, whatever it is.
    pub(super) fn value(&mut self, what: &str) -> Result<Value, Unread> {
        self.values.next().ok_or_else(|| format!("`{what}` is missing"))
    }

    /// The next value as text.
    pub(super) fn text(&mut self, what: &str) -> Result<String, Unread> {
        text(self.value(what)?).map_err(|why| format!("`{what}`: {why}"))
    }

    /// The next value as a number that cannot be negative.
    pub(super) fn number<N: TryFrom<u64>>(&mut self, what: &str) -> Result<N, Unread> {
        number(self.value(what)?).map_err(|why| format!("`{what}`: {why}"))
    }

    /// As [`Self::number`]; none if it is -1 or nothing, which both say "unknown".
    pub(super) fn number_if_known(&mut self, what: &str) -> Result<Option<u64>, Unread> {
        number_if_known(self.value(what)?).map_err(|why| format!("`{what}`: {why}"))
    }

    /// The next value as an event's id.
    pub(super) fn id(&mut self, what: &str) -> Result<EventId, Unread> {
        id(self.value(what)?).map_err(|why| format!("`{what}`: {why}"))
    }

    /// The next value as a list.
    pub(super) fn list(&mut self, what: &str) -> Result<Self, Unread> {
        Self::of(self.value(what)?).map_err(|why| format!("`{what}`: {why}"))
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }
}

impl Iterator for Reply {
    type Item = Value;
    fn next(&mut self) -> Option<Value> {
        self.values.next()
    }
}

/// A value as text. Bytes that are no text are shown as well as they can be.
pub(super) fn text(value: Value) -> Result<String, Unread> {
    match value {
        Value::BulkString(bytes) => {
            Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
        }
        Value::SimpleString(text) => Ok(text),
        Value::Okay => Ok("OK".to_owned()),
        Value::Int(number) => Ok(number.to_string()),
        other => Err(format!("expected text, got {}", kind(&other))),
    }
}

/// A value byte for byte.
pub(super) fn bytes(value: Value) -> Result<Vec<u8>, Unread> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => Err(format!("expected bytes, got {}", kind(&other))),
    }
}

/// A number, or none where the server does not know it. Redis says so with nil, our scripts with -1; and a server that
/// was told of more entries read than it ever had counts a lag below zero.
pub(super) fn number_if_known(value: Value) -> Result<Option<u64>, Unread> {
    match value {
        Value::Nil | Value::Int(..0) => Ok(None),
        Value::BulkString(text) if text == b"-1" => Ok(None),
        value => number(value).map(Some),
    }
}

/// A value as a number that cannot be negative.
pub(super) fn number<N: TryFrom<u64>>(value: Value) -> Result<N, Unread> {
    let number: Option<u64> = match &value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    number.and_then(|number| N::try_from(number).ok()).ok_or_else(|| format!("expected a number, got {}", kind(&value)))
}

/// A value as an event's id.
pub(super) fn id(value: Value) -> Result<EventId, Unread> {
    let text = text(value)?;
    EventId::parse(text.as_bytes()).ok_or_else(|| format!("expected an event id, got `{text}`"))
}

/// A value as entries of a stream.
pub(super) fn entries(value: Value) -> Result<Vec<Entry>, Unread> {
    Reply::of(value)?.map(entry).collect()
}

fn entry(value: Value) -> Result<Entry, Unread> {
    let mut parts = Reply::of(value)?;
    let id = parts.id("id")?;
    let flat: Vec<Vec<u8>> = parts
        .list("fields")?
        .map(|value| bytes(value).map_err(|why| format!("a field of {id}: {why}")))
        .collect::<Result<_, _>>()?;
    let pairs = flat.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    Ok(Entry { id, fields: Fields::from_pairs(pairs) })
}

/// The pairs of a flat list, as XINFO and HGETALL answer them.
pub(super) fn pairs(value: Value) -> Result<Vec<(String, Value)>, Unread> {
    let mut flat = Reply::of(value)?;
    let mut pairs = Vec::new();
    while !flat.is_empty() {
        pairs.push((flat.text("name")?, flat.value("value")?));
    }
    Ok(pairs)
}

fn kind(value: &Value) -> String {
    match value {
        Value::Nil => "nothing".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => {
            let shown: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
            format!("{shown:?}")
        }
        Value::Array(values) => format!("a list of {}", values.len()),
        Value::SimpleString(text) => format!("{text:?}"),
        Value::Okay => "OK".to_owned(),
        _ => "a value of another kind".to_owned(),
    }
}
