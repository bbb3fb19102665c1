//! A statement with the values that belong in it. What comes from outside is a value, never a part of the text.

/// A value, as both databases take it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(Option<i64>),
    Float(Option<f64>),
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::Float(Some(float))
    }
}

/// A statement that grows, and its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
    /// Whether the same text is likely to come again, so that it is worth keeping prepared.
    pub(super) recurs: bool,
}

impl Statement {
    /// A statement of which values are yet to come: `$1` and so on stand for those of [`with`](Self::with).
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new(), recurs: true }
    }

    /// With the next value for a place that the text has already.
    pub(super) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Goes on with that text.
    pub(super) fn say(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Goes on with a place for that value.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let place = self.values.len();
        self.say(&format!("${place}"))
    }

    /// Goes on with a list in parentheses.
    pub(super) fn list(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
        self.say("(");
        for (at, value) in values.into_iter().enumerate() {
            self.say(if at == 0 { "" } else { ", " }).bind(value);
        }
        self.say(")")
    }

    /// Goes on with rows: `(..), (..)`.
    pub(super) fn rows(&mut self, rows: impl IntoIterator<Item = Vec<Value>>) -> &mut Self {
        for (at, row) in rows.into_iter().enumerate() {
            self.say(if at == 0 { "" } else { ", " }).list(row);
            self.recurs &= at == 0;
        }
        self
    }
}
