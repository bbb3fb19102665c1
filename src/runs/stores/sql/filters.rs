//! Questions to the task log as conditions of a statement.
//!
//! A condition that a column cannot answer exactly is said as one that is true of more lines, or not at all: whoever
//! asks looks at the lines themselves again. What the answer must be is said by
//! [`TaskLogQuery::matches`](crate::runs::TaskLogQuery::matches).

use super::names::{is_plain, key};
use super::statement::{Statement, Value};
use crate::runs::query::{Condition, Field, Literal, Match};

/// How many values a condition may list.
const LONGEST_LIST: usize = 1000;

/// Says all conditions, each with ` AND ` before it; and whether they are true of nothing but what is asked for.
pub(super) fn say(conditions: &[Condition], statement: &mut Statement) -> bool {
    let mut exact = true;
    for condition in conditions {
        exact &= say_one(condition, statement);
    }
    exact
}

/// What a column holds, and how it compares.
#[derive(Clone, Copy, PartialEq)]
enum Column {
    Text,
    Int,
    Float,
    /// Of times, only to the microsecond.
    Micros,
}

fn column(field: &Field) -> Option<Column> {
    Some(match field {
        Field::TaskName | Field::Action | Field::RunId | Field::EventId | Field::Kind => Column::Text,
        Field::WorkerId | Field::Host | Field::Level => Column::Text,
        Field::Activation | Field::Attempt | Field::Partition => Column::Int,
        Field::Created | Field::Runtime => Column::Float,
        Field::Start | Field::End => Column::Micros,
        // Only in the document: rarely asked for, and long.
        Field::Message | Field::ExcText | Field::Extra(_) => return None,
    })
}

/// A value that can stand in a statement, and whether it is the operand itself.
fn value(column: Column, operand: &Literal) -> Option<(Value, bool)> {
    Some(match (column, operand) {
        (Column::Text, Literal::Text(text)) => (Value::Text(key(text).into_owned()), is_plain(text)),
        (Column::Int, Literal::Int(int)) => ((*int).into(), true),
        (Column::Float, Literal::Float(float)) if float.is_finite() => ((*float).into(), true),
        (Column::Micros, Literal::Time(time)) => (time.timestamp_micros().into(), false),
        // Values of other kinds do not compare, and databases have their own mind about numbers that are none.
        _ => return None,
    })
}

/// Says a condition if it can be said; and whether it is true of nothing but what is asked for.
fn say_one(condition: &Condition, statement: &mut Statement) -> bool {
    let Some(column) = column(&condition.field) else { return false };
    let Ok(test) = condition.test.clone().try_map(|operand| value(column, &operand).ok_or(())) else { return false };
    let name = format!("\"{}\"", condition.field.name());
    let mut compare = |operator: &str, (operand, exact): (Value, bool)| {
        statement.say(&format!(" AND {name} {operator} ")).bind(operand);
        exact
    };
    // Words have no order of their bytes, and the key of a long text not the order of the text.
    let ordered = column != Column::Text;
    // What lies in the same microsecond may be greater, less or equal.
    let (greater, less) = if column == Column::Micros { (">=", "<=") } else { (">", "<") };
    match test {
        Match::Eq(operand) => compare("=", operand),
        Match::Ne((operand, true)) => {
            statement.say(&format!(" AND ({name} IS NULL OR {name} <> ")).bind(operand).say(")");
            true
        }
        Match::Gt(operand) if ordered => compare(greater, operand),
        Match::Ge(operand) if ordered => compare(">=", operand),
        Match::Lt(operand) if ordered => compare(less, operand),
        Match::Le(operand) if ordered => compare("<=", operand),
        Match::Between(from, to) if ordered && (from.is_some() || to.is_some()) => {
            let from = from.is_none_or(|from| compare(">=", from));
            to.is_none_or(|to| compare("<=", to)) && from
        }
        Match::In(operands) if operands.is_empty() => {
            statement.say(" AND 1 = 0");
            true
        }
        Match::In(operands) if operands.len() <= LONGEST_LIST => {
            let exact = operands.iter().all(|(_, exact)| *exact);
            statement.say(&format!(" AND {name} IN ")).list(operands.into_iter().map(|(operand, _)| operand));
            // Lists have any length: few texts come again.
            statement.recurs = false;
            exact
        }
        Match::Ne(_) | Match::Gt(_) | Match::Ge(_) | Match::Lt(_) | Match::Le(_) | Match::In(_) => false,
        // One without ends is true of every line that has a value.
        Match::Between(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::filter;
    use crate::runs::TaskLogQuery;

    fn said(query: TaskLogQuery) -> (String, usize, bool) {
        let mut statement = Statement::new("");
        let exact = say(query.conditions(), &mut statement);
        (statement.text, statement.values.len(), exact)
    }

    #[test]
    fn what_columns_can_answer_is_asked_of_them_and_values_are_never_in_the_text() {
        let time = DateTime::from_timestamp(1, 5).unwrap();
        for (query, expected) in [
            (filter!(task_name = "x' OR 1=1 --"), (r#" AND "task_name" = $1"#, 1, true)),
            (filter!(task_name = "a\0"), (r#" AND "task_name" = $1"#, 1, false)),
            (filter!(task_name = ne("a\0")), ("", 0, false)),
            (filter!(task_name = gt("a")), ("", 0, false)),
            (filter!(level = ge(Warn)), (r#" AND "level" IN ($1, $2)"#, 2, true)),
            (filter!(partition = ne(3)), (r#" AND ("partition" IS NULL OR "partition" <> $1)"#, 1, true)),
            (filter!(created = between(1.0, None)), (r#" AND "created" >= $1"#, 1, true)),
            (filter!(created = between(None::<f64>, None::<f64>)), ("", 0, false)),
            (filter!(created = lt(f64::NAN)), ("", 0, false)),
            (filter!(runtime = gt(1.0), attempt = le(2)), (r#" AND "runtime" > $1 AND "attempt" <= $2"#, 2, true)),
            (filter!(end = lt(time)), (r#" AND "end" <= $1"#, 1, false)),
            (filter!(end = ne(time)), ("", 0, false)),
            (filter!(message = "x", extra("y'); --") = 1), ("", 0, false)),
            (filter!(action = in_(Vec::<&str>::new())), (" AND 1 = 0", 0, true)),
        ] {
            let (text, values, exact) = said(query.clone());
            assert_eq!((text.as_str(), values, exact), expected, "{query:?}");
        }
    }
}
