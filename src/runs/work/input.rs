//! What a run is given, and what of that may be kept.

use serde_json::{Map, Value};

use crate::runs::mask::{self, MASK};
use crate::runs::{Parameter, Parameters, SecretString};

/// What a run is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Input {
    /// As the job has it.
    pub(crate) values: Map<String, Value>,
    /// As it may be kept.
    pub(crate) kept: Parameters,
}

impl Input {
    /// What is given and no secret.
    pub(crate) fn plain(&self) -> Map<String, Value> {
        let is_plain = |name: &String| matches!(self.kept.get(name), Some(Parameter::Json(_)));
        let plain = self.values.iter().filter(|(name, _)| is_plain(name));
        plain.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// A value as it may be kept. `written` is the same as its type writes it, without what the type says is secret.
///
/// What loses anything by that is kept as a secret, so that nobody takes the rest for the whole.
pub(crate) fn input_parameter(name: &str, value: &Value, written: Value) -> Parameter {
    let named = [(name.to_owned(), written)].into_iter().collect();
    match mask::map(&named).remove(name) {
        // A type may write more than it was given, but what it was given is there.
        Some(masked) if !holds_mask(&masked) || holds_mask(value) => Parameter::Json(masked),
        _ => Parameter::Secret(SecretString::new(MASK)),
    }
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(MASK),
        Value::Array(values) => values.iter().any(holds_mask),
        Value::Object(values) => values.values().any(holds_mask),
        _ => false,
    }
}

/// Takes the secrets a run was given out of the texts that are kept of it: of errors, above all.
#[derive(Default)]
pub(crate) struct Scrub(Vec<String>);

/// A secret that is shorter would be found in every other word.
const SHORTEST: usize = 4;

impl Scrub {
    pub(crate) fn of(input: &Input) -> Self {
        let mut secrets = Vec::new();
        for (name, kept) in &input.kept {
            if let (Parameter::Secret(_), Some(value)) = (kept, input.values.get(name)) {
                texts(value, &mut secrets);
            }
        }
        secrets.retain(|secret| secret.len() >= SHORTEST);
        // The longest first: one may be part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    pub(crate) fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(values) => values.values().for_each(|value| texts(value, found)),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_loses_anything_when_it_is_kept_is_kept_as_a_secret() {
        let plain = json!({"day": "2026-11-22", "rows": [1, 2]});
        assert_eq!(input_parameter("what", &plain, plain.clone()), Parameter::Json(plain));
        for (name, value) in
            [("token", json!("canary")), ("db", json!("redis://u:canary@h")), ("x", json!({"password": 1}))]
        {
            assert!(matches!(input_parameter(name, &value, value.clone()), Parameter::Secret(_)), "{name}");
        }
    }

    #[test]
    fn secrets_are_taken_out_of_texts() {
        let mut input = Input::default();
        for (name, value) in [("token", json!("canary")), ("pin", json!("1")), ("day", json!("monday"))] {
            input.kept.insert(name.into(), input_parameter(name, &value, value.clone()));
            input.values.insert(name.into(), value);
        }
        let scrub = Scrub::of(&input);
        assert_eq!(scrub.text("cannot log in with canary on monday 1"), "cannot log in with *** on monday 1");
    }
}
