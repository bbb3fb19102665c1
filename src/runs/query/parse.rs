//! Questions in words, as a command line or an address asks them: field, operation, value.

use chrono::{DateTime, Utc};

use super::field::{Field, Literal};
use super::operand::{Match, seconds};
use super::{Condition, TaskLogQuery};
use crate::nearest::did_you_mean;
use crate::runs::{Action, Level, TaskKind, UnknownWord};

/// Questions from words.
#[derive(Clone, Copy, Debug)]
pub enum Filter {}

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// There is no such field.
    #[error("the task log has no field `{field}`{advice}; fields are {}, and `extra.<name>`", names())]
    UnknownField {
        /// As it was written.
        field: String,
        /// Which one was meant, perhaps.
        advice: String,
    },
    /// There is no such operation.
    #[error("`{op}` is no operation{advice}; operations are {}", OPS.join(", "))]
    UnknownOp {
        /// As it was written.
        op: String,
        /// Which one was meant, perhaps.
        advice: String,
    },
    /// A value that the field cannot have.
    #[error("`{field}` cannot be {value:?}: expected {expected}")]
    Value {
        /// The field.
        field: String,
        /// As it was written.
        value: String,
        /// What can stand there.
        expected: String,
    },
    /// A word that the field cannot have.
    #[error("`{field}` cannot be asked for")]
    Word {
        /// The field.
        field: String,
        /// Which word, and which ones there are.
        #[source]
        source: UnknownWord,
    },
    /// Words that have no order.
    #[error("`{field}` has no order, so `{op}` means nothing for it; use `eq`, `ne` or `in`")]
    NoOrder {
        /// The field.
        field: String,
        /// The operation.
        op: &'static str,
    },
}

const OPS: [&str; 8] = ["eq", "ne", "gt", "ge", "lt", "le", "between", "in"];

fn names() -> String {
    Field::NAMED.iter().map(Field::name).collect::<Vec<_>>().join(", ")
}

/// What was written, but not all of a text that may be huge.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}

impl FilterError {
    /// A word, or what is wrong with it.
    pub(super) fn word(field: &str, word: Result<&'static str, UnknownWord>) -> Result<Literal, Self> {
        match word {
            Ok(word) => Ok(Literal::Text(word.to_owned())),
            Err(source) => Err(Self::Word { field: field.to_owned(), source }),
        }
    }

    fn value(field: &Field, value: &str, expected: &str) -> Self {
        Self::Value { field: field.to_string(), value: shortened(value), expected: expected.to_owned() }
    }
}

impl Filter {
    /// The question for lines of which all of this is true: `[("action", "in", "fail,crash")]`.
    ///
    /// Operations are eq, ne, gt, ge, lt, le, `between` with `from,to` of which either may be empty, and `in` with a list
    /// after commas. Times are `2026-11-22T02:00:00Z`, or seconds of Unix time. A member of `extra` is `extra.<name>`.
    pub fn parse<F, O, V>(conditions: impl IntoIterator<Item = (F, O, V)>) -> Result<TaskLogQuery, FilterError>
    where
        F: AsRef<str>,
        O: AsRef<str>,
        V: AsRef<str>,
    {
        conditions.into_iter().try_fold(TaskLogQuery::new(), |query, (field, op, value)| {
            Ok(query.with(Condition::parse(field.as_ref(), op.as_ref(), value.as_ref())?))
        })
    }
}

impl Condition {
    /// One condition from words.
    pub fn parse(field: &str, op: &str, value: &str) -> Result<Self, FilterError> {
        let field = Field::parse(field)?;
        let one = || field.literal(value);
        let test = match op {
            "eq" => Match::Eq(one()?),
            "ne" => Match::Ne(one()?),
            "gt" => Match::Gt(one()?),
            "ge" => Match::Ge(one()?),
            "lt" => Match::Lt(one()?),
            "le" => Match::Le(one()?),
            "in" | "in_" if value.is_empty() => Match::In(Vec::new()),
            "in" | "in_" => {
                Match::In(value.split(',').map(|word| field.literal(word.trim())).collect::<Result<_, _>>()?)
            }
            "between" => {
                let ends = value.split_once(',').filter(|(_, to)| !to.contains(','));
                let (from, to) = ends.ok_or_else(|| FilterError::value(&field, value, "`from,to`"))?;
                let end = |text: &str| match text.trim() {
                    "" => Ok(None),
                    text => field.literal(text).map(Some),
                };
                Match::Between(end(from)?, end(to)?)
            }
            unknown => {
                let advice = did_you_mean(unknown, OPS);
                return Err(FilterError::UnknownOp { op: shortened(unknown), advice });
            }
        };
        Self::checked(field, test)
    }
}

impl Field {
    /// The field of that name.
    pub fn parse(name: &str) -> Result<Self, FilterError> {
        if let Some(member) = name.strip_prefix("extra.").filter(|member| !member.is_empty()) {
            return Ok(Self::Extra(member.to_owned()));
        }
        let named = Self::NAMED.iter().find(|field| field.name() == name);
        named.cloned().ok_or_else(|| {
            let advice = did_you_mean(name, Self::NAMED.iter().map(Self::name));
            FilterError::UnknownField { field: shortened(name), advice }
        })
    }

    /// A value of this field from its text.
    fn literal(&self, text: &str) -> Result<Literal, FilterError> {
        let wrong = |expected| FilterError::value(self, text, expected);
        match self {
            Self::Action => FilterError::word("action", text.parse::<Action>().map(Action::as_str)),
            Self::Kind => FilterError::word("kind", text.parse::<TaskKind>().map(TaskKind::as_str)),
            Self::Level => FilterError::word("level", text.parse::<Level>().map(Level::as_str)),
            Self::Created => {
                let expected = "a time like `2026-11-22T02:00:00Z`, or seconds of Unix time";
                number(text).or_else(|| instant(text).map(seconds)).map(Literal::Float).ok_or_else(|| wrong(expected))
            }
            Self::Runtime => number(text).map(Literal::Float).ok_or_else(|| wrong("seconds, like `1.5`")),
            Self::Start | Self::End => {
                let expected = "a time like `2026-11-22T02:00:00Z`, or seconds of Unix time";
                let seconds = || number(text).map(crate::runs::log::time);
                instant(text).or_else(seconds).map(Literal::Time).ok_or_else(|| wrong(expected))
            }
            Self::Activation | Self::Attempt | Self::Partition => {
                text.parse::<u32>().map(|n| Literal::Int(n.into())).map_err(|_| wrong("a whole number from 0"))
            }
            Self::EventId => {
                let id = text.parse::<uuid::Uuid>().map_err(|_| wrong("a UUID"))?;
                Ok(Literal::Text(id.to_string()))
            }
            Self::TaskName | Self::RunId | Self::WorkerId | Self::Host | Self::Message | Self::ExcText => {
                Ok(Literal::Text(text.to_owned()))
            }
            Self::Extra(_) => Ok(Literal::Json(text.into())),
        }
    }
}

/// A number that compares with others.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}
