//! The facts that were found beside those that are known, for people.

use std::fmt;

use serde_json::Value;

use super::facts::Facts;

/// One line a fact, and whether all agree.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    fact: String,
    found: String,
    /// Where found and expected differ; empty if they agree.
    differences: Vec<String>,
}

impl Report {
    /// Compares what was found with the facts of `expected.json`. A fact that only one of them has is a difference.
    pub(crate) fn compare(found: &Facts, expected: &Value) -> Self {
        let found = serde_json::to_value(found).expect("facts are plain data");
        let facts = names(&found).chain(names(expected).filter(|name| found.get(name).is_none()));
        let rows = facts.map(|name| {
            let mut differences = Vec::new();
            differ("", found.get(name), expected.get(name), &mut differences);
            Row { fact: name.to_owned(), found: found.get(name).map(in_short).unwrap_or_default(), differences }
        });
        Self { rows: rows.collect() }
    }

    pub(crate) fn all_agree(&self) -> bool {
        self.rows.iter().all(|row| row.differences.is_empty())
    }

    /// The facts that are not what they should be.
    pub(crate) fn wrong(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| !row.differences.is_empty()).map(|row| row.fact.as_str()).collect()
    }
}

fn names(facts: &Value) -> impl Iterator<Item = &str> {
    facts.as_object().into_iter().flat_map(|object| object.keys()).map(String::as_str)
}

/// Goes down both values together, and notes each leaf at which they part.
fn differ(path: &str, found: Option<&Value>, expected: Option<&Value>, differences: &mut Vec<String>) {
    match (found, expected) {
        (Some(Value::Object(_)), Some(Value::Object(_))) => {
            let (found, expected) = (found.unwrap_or(&Value::Null), expected.unwrap_or(&Value::Null));
            let either = names(found).chain(names(expected).filter(|name| found.get(name).is_none()));
            for name in either {
                differ(&format!("{path}{name} "), found.get(name), expected.get(name), differences);
            }
        }
        (Some(Value::Array(found)), Some(Value::Array(expected))) => {
            for at in 0..found.len().max(expected.len()) {
                differ(&format!("{path}[{at}] "), found.get(at), expected.get(at), differences);
            }
        }
        _ if found == expected => {}
        _ => differences.push(format!("{path}found {}, expected {}", or_nothing(found), or_nothing(expected))),
    }
}

fn or_nothing(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), in_short)
}

/// A value, or how many there are.
fn in_short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.len() > 3 => format!("{} values", values.len()),
        Value::Object(values) if values.len() > 4 => format!("{} values", values.len()),
        Value::Object(values) => {
            let pairs: Vec<_> = values.iter().map(|(name, value)| format!("{name} {}", in_short(value))).collect();
            pairs.join(", ")
        }
        Value::Array(values) => values.iter().map(in_short).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.fact.len()).max().unwrap_or_default();
        for Row { fact, found, differences } in &self.rows {
            let verdict = if differences.is_empty() { "  agrees" } else { "DIFFERS " };
            writeln!(f, "{verdict}  {fact:<width$}  {found}")?;
            for difference in differences.iter().take(3) {
                writeln!(f, "{:10}  {:width$}  {difference}", "", "")?;
            }
            if differences.len() > 3 {
                writeln!(f, "{:10}  {:width$}  and {} more", "", "", differences.len() - 3)?;
            }
        }
        match self.wrong().len() {
            0 => write!(f, "All {} facts agree.", self.rows.len()),
            wrong => write!(f, "{wrong} of {} facts differ.", self.rows.len()),
        }
    }
}
