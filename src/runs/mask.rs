//! What may be shown of values that can hold secrets: the one place that decides it for everything about runs.
//!
//! Masked are passwords and tokens in addresses, parameters of addresses that are named like a secret, and the values
//! of maps with such names. A secret under a harmless name cannot be told from any other text: that is what
//! [`Parameter::Secret`](super::Parameter::Secret) is for.

use serde_json::{Map, Value};

use crate::settings::{is_secret, mask};

/// What stands in place of a secret.
pub(crate) const MASK: &str = "***";

/// A text without the secrets of the address that it may be.
///
/// An address has a scheme, or credentials before a host; a mail address has neither `:` before its `@` nor a scheme.
pub(crate) fn text(text: &str) -> String {
    let credentials = text.split_once('@').is_some_and(|(before, _)| before.contains(':') && !before.contains(' '));
    match text.contains("://") || credentials {
        true => mask(text),
        false => text.to_owned(),
    }
}

/// A value without secrets, at any depth.
pub(crate) fn value(of: &Value) -> Value {
    match of {
        Value::String(text) => Value::String(self::text(text)),
        Value::Array(values) => Value::Array(values.iter().map(value).collect()),
        Value::Object(values) => Value::Object(map(values)),
        plain => plain.clone(),
    }
}

/// A map without secrets. What is named like a secret and holds nothing stays as it is: it shows what is not set.
pub(crate) fn map(of: &Map<String, Value>) -> Map<String, Value> {
    of.iter()
        .map(|(name, held)| match held {
            // A switch tells nothing, whatever its name is.
            Value::Null | Value::Bool(_) => (name.clone(), held.clone()),
            _ if is_secret(name) => (name.clone(), MASK.into()),
            _ => (name.clone(), value(held)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_lose_their_passwords_tokens_and_named_parameters() {
        let cases = [
            ("postgresql://user:pass@host/db", "postgresql://user:***@host/db"),
            ("https://ghp_canary@host/repo", "https://:***@host/repo"),
            ("https://h/x?sig=canary&a=1", "https://h/x?sig=***&a=1"),
            ("s3://b/p?X-Amz-Signature=canary#f", "s3://b/p?X-Amz-Signature=***#f"),
            ("user:canary@host:5432", "user:***@host:5432"),
            ("anna@example.org", "anna@example.org"),
            ("at 12:30 meet @anna", "at 12:30 meet @anna"),
        ];
        for (written, shown) in cases {
            assert_eq!(text(written), shown);
        }
    }

    #[test]
    fn maps_lose_the_values_of_secret_names_at_any_depth() {
        let config = json!({
            "db": {"connection": "postgresql://u:canary@h/d", "API_KEY": "canary", "password": null},
            "tokens": ["canary"], "list": [{"secret": {"deep": "canary"}}], "pin_sig": 17, "use_token": true, "n": 3,
        });

        let masked = value(&config);

        assert!(!masked.to_string().contains("canary"), "{masked}");
        assert_eq!(masked["db"]["password"], Value::Null);
        assert_eq!((&masked["n"], &masked["use_token"], &masked["pin_sig"]), (&json!(3), &json!(true), &json!("***")));
    }
}
