//! A method for each field: what `filter!` expands to, so that a field that does not exist does not compile.

use super::field::{Field, Literal};
use super::operand::{IntoMatch, Match, kind};
use super::parse::FilterError;
use super::{Condition, TaskLogQuery};

macro_rules! fields {
    ($($(#[$doc:meta])* $method:ident: $field:ident $kind:ident,)*) => {
        impl TaskLogQuery {
            $(
                $(#[$doc])*
                pub fn $method(self, is: impl IntoMatch<kind::$kind>) -> Self {
                    self.where_(Field::$field, is.into_match())
                }
            )*
        }
    };
}

fields! {
    /// Only lines of that task.
    task_name: TaskName Text,
    /// Only lines of that task: the same as [`task_name`](Self::task_name).
    task: TaskName Text,
    /// Only lines about that action.
    action: Action Action,
    /// Only lines written then: a time, or seconds of Unix time.
    created: Created Seconds,
    /// Only lines of that run.
    run_id: RunId Id,
    /// Only the line with that id.
    event_id: EventId EventId,
    /// Only lines of that activation.
    activation: Activation Count,
    /// Only lines of activations that began then.
    start: Start Time,
    /// Only lines of activations that ended then.
    end: End Time,
    /// Only lines of activations that ran so long, in seconds.
    runtime: Runtime Seconds,
    /// Only lines of that attempt.
    attempt: Attempt Count,
    /// Only lines of that kind of function.
    kind: Kind Kind,
    /// Only lines of that worker.
    worker_id: WorkerId Text,
    /// Only lines of workers on that machine.
    host: Host Text,
    /// Only lines of that partition's tenancies.
    partition: Partition Count,
    /// Only lines of that level. Levels have an order: `ge(Level::Warn)`.
    level: Level Level,
    /// Only lines with that message.
    message: Message Text,
    /// Only lines with that error.
    exc_text: ExcText Text,
}

impl TaskLogQuery {
    /// Only lines whose `extra` has such a member.
    pub fn extra(self, name: impl Into<String>, is: impl IntoMatch<kind::Extra>) -> Self {
        self.where_(Field::Extra(name.into()), is.into_match())
    }

    /// Adds a condition, or keeps what is wrong with it until the question is asked.
    fn where_(mut self, field: Field, test: Result<Match<Literal>, FilterError>) -> Self {
        match test.and_then(|test| Condition::checked(field, test)) {
            Ok(condition) => self.conditions.push(condition),
            Err(problem) => self.wrong = self.wrong.or(Some(problem)),
        }
        self
    }
}

impl Condition {
    /// A condition that makes sense. Words have no order, apart from levels, whose order becomes a list of them.
    pub(super) fn checked(field: Field, test: Match<Literal>) -> Result<Self, FilterError> {
        if test.asks_for_order() {
            if let Some(ranks) = field.ranks() {
                let rank = |operand: &Literal| match operand {
                    Literal::Text(word) => ranks.iter().position(|known| known == word),
                    _ => None,
                };
                let within = ranks.iter().enumerate();
                let within = within.filter(|(at, _)| test.holds(|operand| Some(at.cmp(&rank(operand)?))));
                let words = within.map(|(_, word)| Literal::Text((*word).to_owned())).collect();
                return Ok(Self { field, test: Match::In(words) });
            }
            if matches!(field, Field::Action | Field::Kind) {
                return Err(FilterError::NoOrder { field: field.to_string(), op: test.name() });
            }
        }
        Ok(Self { field, test })
    }
}
