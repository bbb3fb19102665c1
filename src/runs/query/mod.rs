//! Questions to the task log: which lines, in which order, how many.
//!
//! A [`TaskLogQuery`] is built in code, by [`filter!`](crate::filter), or from words by [`Filter::parse`]. It is data: a
//! store translates it into its own language, and [`TaskLogQuery::matches`] says what the translation must mean.

mod builder;
mod field;
mod filter_macro;
mod operand;
mod parse;
mod run_logs;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use uuid::Uuid;

use super::TaskLogEvent;

pub use field::{Field, Literal};
pub use operand::{End, IntoMatch, Match, Operand, Scalar, kind};
pub use parse::{Filter, FilterError};
pub use run_logs::{Order, Page, Place, Range, RunLogQuery};

/// What a field is compared with: `filter!` brings these into scope where its values stand.
pub mod ops {
    pub use super::operand::{between, eq, ge, gt, in_, le, lt, ne};
}

/// One condition of a query: what must be true of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The field.
    pub field: Field,
    /// What must be true of it.
    pub test: Match<Literal>,
}

/// Which lines of the task log, in which order, and how many.
///
/// All conditions must hold. Lines come in the order in which they were stored, which is that of the stream: per task,
/// the order in which things happened.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct TaskLogQuery {
    conditions: Vec<Condition>,
    newest_first: bool,
    limit: Option<usize>,
    after: Option<Uuid>,
    wrong: Option<FilterError>,
}

impl TaskLogQuery {
    /// Every line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only lines of which this is true as well.
    pub fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// At most so many lines.
    pub fn limit(mut self, lines: usize) -> Self {
        self.limit = Some(lines);
        self
    }

    /// The newest line first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// The same from the other end.
    pub(crate) fn turned(mut self) -> Self {
        self.newest_first = !self.newest_first;
        self
    }

    /// Only what comes behind that line, in the order of this query.
    pub fn after(mut self, line: Uuid) -> Self {
        self.after = Some(line);
        self
    }

    /// This question with the conditions of another one as well.
    pub fn and(mut self, other: Self) -> Self {
        self.conditions.extend(other.conditions);
        self.newest_first |= other.newest_first;
        self.limit = other.limit.or(self.limit);
        self.after = other.after.or(self.after);
        self.wrong = self.wrong.or(other.wrong);
        self
    }

    /// What must be true of a line.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Whether the newest line comes first.
    pub fn is_newest_first(&self) -> bool {
        self.newest_first
    }

    /// The most lines that are wanted.
    pub fn most(&self) -> Option<usize> {
        self.limit
    }

    /// The line behind which the answer begins.
    pub fn begins_after(&self) -> Option<Uuid> {
        self.after
    }

    /// What is wrong with the question, if anything: stores ask before they answer.
    pub fn check(&self) -> Result<(), FilterError> {
        self.wrong.clone().map_or(Ok(()), Err)
    }

    /// Whether all conditions are true of that line. Order, limit and beginning are not asked.
    pub fn matches(&self, event: &TaskLogEvent) -> bool {
        self.conditions.iter().all(|condition| condition.matches(event))
    }

    /// The answer out of all lines in the order in which they were stored; nothing if the line that it is to begin
    /// after is not among them.
    pub fn answer<'a, L>(&self, lines: L) -> Option<Vec<&'a TaskLogEvent>>
    where
        L: IntoIterator<Item = &'a TaskLogEvent>,
        L::IntoIter: DoubleEndedIterator,
    {
        let mut lines = lines.into_iter();
        let mut next = || if self.newest_first { lines.next_back() } else { lines.next() };
        if let Some(after) = self.after {
            while next()?.event_id != after {}
        }
        let matching = std::iter::from_fn(next).filter(|line| self.matches(line));
        Some(matching.take(self.limit.unwrap_or(usize::MAX)).collect())
    }
}

impl Condition {
    /// Whether it is true of that line. Of a field that the line does not have, only "is not" is.
    pub fn matches(&self, event: &TaskLogEvent) -> bool {
        match self.field.of(event) {
            Some(value) => self.test.holds(|operand| value.compare(operand)),
            None => matches!(self.test, Match::Ne(_)),
        }
    }
}

impl<T> Match<T> {
    /// Whether it holds of a value that `compare` compares with each operand. What cannot be compared is not equal.
    pub fn holds(&self, compare: impl Fn(&T) -> Option<Ordering>) -> bool {
        let is = |operand, wanted: fn(Ordering) -> bool| compare(operand).is_some_and(wanted);
        match self {
            Self::Eq(operand) => is(operand, Ordering::is_eq),
            Self::Ne(operand) => !is(operand, Ordering::is_eq),
            Self::Gt(operand) => is(operand, Ordering::is_gt),
            Self::Ge(operand) => is(operand, Ordering::is_ge),
            Self::Lt(operand) => is(operand, Ordering::is_lt),
            Self::Le(operand) => is(operand, Ordering::is_le),
            Self::Between(from, to) => {
                from.as_ref().is_none_or(|from| is(from, Ordering::is_ge))
                    && to.as_ref().is_none_or(|to| is(to, Ordering::is_le))
            }
            Self::In(operands) => operands.iter().any(|operand| is(operand, Ordering::is_eq)),
        }
    }
}
