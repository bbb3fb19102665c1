//! What may stand on the right of a condition: for each kind of field, the types that are one, and what to do with them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::field::Literal;
use super::parse::FilterError;
use crate::runs::{Action, Level, RunId, TaskKind};

/// What must be true of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Match<T> {
    /// It is that.
    Eq(T),
    /// It is not that, or is missing.
    Ne(T),
    /// It is greater.
    Gt(T),
    /// It is greater, or that.
    Ge(T),
    /// It is less.
    Lt(T),
    /// It is less, or that.
    Le(T),
    /// It is neither less than the first nor greater than the second; an end that is missing is open.
    Between(Option<T>, Option<T>),
    /// It is one of these.
    In(Vec<T>),
}

impl<T> Match<T> {
    /// The same about other operands; the first that cannot be made is the error.
    pub fn try_map<U, E>(self, mut make: impl FnMut(T) -> Result<U, E>) -> Result<Match<U>, E> {
        Ok(match self {
            Self::Eq(operand) => Match::Eq(make(operand)?),
            Self::Ne(operand) => Match::Ne(make(operand)?),
            Self::Gt(operand) => Match::Gt(make(operand)?),
            Self::Ge(operand) => Match::Ge(make(operand)?),
            Self::Lt(operand) => Match::Lt(make(operand)?),
            Self::Le(operand) => Match::Le(make(operand)?),
            Self::Between(from, to) => Match::Between(from.map(&mut make).transpose()?, to.map(&mut make).transpose()?),
            Self::In(operands) => Match::In(operands.into_iter().map(make).collect::<Result<_, E>>()?),
        })
    }

    /// Its name, as it is written: `eq`, `in`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Eq(_) => "eq",
            Self::Ne(_) => "ne",
            Self::Gt(_) => "gt",
            Self::Ge(_) => "ge",
            Self::Lt(_) => "lt",
            Self::Le(_) => "le",
            Self::Between(..) => "between",
            Self::In(_) => "in",
        }
    }

    /// Whether it asks for an order and not only for equality.
    pub fn asks_for_order(&self) -> bool {
        !matches!(self, Self::Eq(_) | Self::Ne(_) | Self::In(_))
    }
}

/// It is that: the same as the value alone.
pub fn eq<A: Scalar>(value: A) -> Match<A> {
    Match::Eq(value)
}

/// It is not that, or is missing.
pub fn ne<A: Scalar>(value: A) -> Match<A> {
    Match::Ne(value)
}

/// It is greater.
pub fn gt<A: Scalar>(value: A) -> Match<A> {
    Match::Gt(value)
}

/// It is greater, or that.
pub fn ge<A: Scalar>(value: A) -> Match<A> {
    Match::Ge(value)
}

/// It is less.
pub fn lt<A: Scalar>(value: A) -> Match<A> {
    Match::Lt(value)
}

/// It is less, or that.
pub fn le<A: Scalar>(value: A) -> Match<A> {
    Match::Le(value)
}

/// It is neither less than the one nor greater than the other. `None` leaves an end open.
pub fn between<A: Scalar>(from: impl End<A>, to: impl End<A>) -> Match<A> {
    Match::Between(from.end(), to.end())
}

/// It is one of these.
pub fn in_<A: Scalar>(values: impl IntoIterator<Item = A>) -> Match<A> {
    Match::In(values.into_iter().collect())
}

/// A value, not a `Match` nor an option.
pub trait Scalar {}

/// An end of a range: a value, or nothing.
pub trait End<A: Scalar> {
    /// The end.
    fn end(self) -> Option<A>;
}

impl<A: Scalar> End<A> for A {
    fn end(self) -> Option<A> {
        Some(self)
    }
}

impl<A: Scalar> End<A> for Option<A> {
    fn end(self) -> Option<A> {
        self
    }
}

/// The kinds of fields, by what their operands are.
#[expect(missing_docs, reason = "the names are those of the types of fields")]
pub mod kind {
    pub enum Text {}
    pub enum Id {}
    pub enum EventId {}
    pub enum Action {}
    pub enum Kind {}
    pub enum Level {}
    pub enum Seconds {}
    pub enum Time {}
    pub enum Count {}
    pub enum Extra {}
}

/// A value that fields of kind `K` can be compared with.
#[diagnostic::on_unimplemented(message = "this field cannot be compared with `{Self}`")]
pub trait Operand<K>: Scalar {
    /// The value. A text that is no word of its kind is an error, which the query keeps until it is asked.
    fn literal(self) -> Result<Literal, FilterError>;
}

/// What may be said of a field of kind `K`: a value that it must have, or what the functions of [`ops`](super::ops) make.
#[diagnostic::on_unimplemented(message = "this field cannot be compared with `{Self}`")]
pub trait IntoMatch<K> {
    /// What must be true.
    fn into_match(self) -> Result<Match<Literal>, FilterError>;
}

impl<K, A: Operand<K>> IntoMatch<K> for Match<A> {
    fn into_match(self) -> Result<Match<Literal>, FilterError> {
        self.try_map(A::literal)
    }
}

macro_rules! scalars {
    ($($type:ty),* $(,)?) => { $(impl Scalar for $type {})* };
}

scalars!(&str, String, &String, RunId, &RunId, Uuid, Action, TaskKind, Level, f64, i32, i64, u32, u64, bool, Value);
scalars!(DateTime<Utc>);

macro_rules! operands {
    ($($kind:ident: { $($type:ty => |$value:ident| $make:expr,)* })*) => { $($(
        impl Operand<kind::$kind> for $type {
            fn literal(self) -> Result<Literal, FilterError> {
                let $value = self;
                $make
            }
        }

        impl IntoMatch<kind::$kind> for $type {
            fn into_match(self) -> Result<Match<Literal>, FilterError> {
                Operand::<kind::$kind>::literal(self).map(Match::Eq)
            }
        }
    )*)* };
}

fn text(value: impl Into<String>) -> Result<Literal, FilterError> {
    Ok(Literal::Text(value.into()))
}

/// A time as seconds of Unix time, to the microsecond: what `created` is.
pub(super) fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_micros() as f64 / 1e6
}

operands! {
    Text: {
        &str => |v| text(v),
        String => |v| text(v),
        &String => |v| text(v),
    }
    Id: {
        RunId => |v| text(v),
        &RunId => |v| text(v.as_str()),
        // A text that is no run id is no run's either.
        &str => |v| text(v),
        String => |v| text(v),
        &String => |v| text(v),
    }
    EventId: {
        Uuid => |v| text(v.to_string()),
    }
    Action: {
        Action => |v| text(v.as_str()),
        &str => |v| FilterError::word("action", v.parse::<Action>().map(Action::as_str)),
        String => |v| FilterError::word("action", v.parse::<Action>().map(Action::as_str)),
    }
    Kind: {
        TaskKind => |v| text(v.as_str()),
        &str => |v| FilterError::word("kind", v.parse::<TaskKind>().map(TaskKind::as_str)),
        String => |v| FilterError::word("kind", v.parse::<TaskKind>().map(TaskKind::as_str)),
    }
    Level: {
        Level => |v| text(v.as_str()),
        &str => |v| FilterError::word("level", v.parse::<Level>().map(Level::as_str)),
        String => |v| FilterError::word("level", v.parse::<Level>().map(Level::as_str)),
    }
    Seconds: {
        f64 => |v| Ok(Literal::Float(v)),
        i32 => |v| Ok(Literal::Float(v.into())),
        i64 => |v| Ok(Literal::Float(v as f64)),
        u64 => |v| Ok(Literal::Float(v as f64)),
        DateTime<Utc> => |v| Ok(Literal::Float(seconds(v))),
    }
    Time: {
        DateTime<Utc> => |v| Ok(Literal::Time(v)),
    }
    Count: {
        u32 => |v| Ok(Literal::Int(v.into())),
        i32 => |v| Ok(Literal::Int(v.into())),
    }
    Extra: {
        &str => |v| Ok(Literal::Json(v.into())),
        String => |v| Ok(Literal::Json(v.into())),
        &String => |v| Ok(Literal::Json(v.as_str().into())),
        f64 => |v| Ok(Literal::Json(v.into())),
        i32 => |v| Ok(Literal::Json(v.into())),
        i64 => |v| Ok(Literal::Json(v.into())),
        u32 => |v| Ok(Literal::Json(v.into())),
        u64 => |v| Ok(Literal::Json(v.into())),
        bool => |v| Ok(Literal::Json(v.into())),
        Value => |v| Ok(Literal::Json(v)),
    }
}
