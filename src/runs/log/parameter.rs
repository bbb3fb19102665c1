//! What a run is given and what it sets, and the one kind of text that is never shown.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

use crate::runs::mask::MASK;

/// A parameter of a run or of a branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Parameter {
    /// A value.
    Json(Value),
    /// A figure that somebody wants to follow from run to run.
    Metric(Number),
    /// A value that is never written down: `***` is. Whoever resumes the run has to give it again.
    Secret(SecretString),
}

impl<T: Into<Value>> From<T> for Parameter {
    fn from(value: T) -> Self {
        Self::Json(value.into())
    }
}

impl Parameter {
    /// The parameter as it may be kept: without the value of a secret.
    pub fn masked(self) -> Self {
        match self {
            Self::Secret(_) => Self::Secret(SecretString::new(MASK)),
            plain => plain,
        }
    }
}

/// A text that only [`expose`](SecretString::expose) gives away: printed or written down, it is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(String);

impl SecretString {
    /// Keeps that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for SecretString {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(if EXPOSED.get() { &self.0 } else { MASK })
    }
}

thread_local!(static EXPOSED: Cell<bool> = const { Cell::new(false) });

/// Writes something with its secrets: for whoever is to be given them, never for what is kept or shown.
pub(crate) fn exposing<T>(write: impl FnOnce() -> T) -> T {
    struct Until(bool);
    impl Drop for Until {
        fn drop(&mut self) {
            EXPOSED.set(self.0);
        }
    }
    let _until = Until(EXPOSED.replace(true));
    write()
}

impl<'de> Deserialize<'de> for SecretString {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown_nor_written_down() {
        let secret = Parameter::Secret(SecretString::new("canary"));

        let written = serde_json::to_string(&secret).unwrap();

        assert!(!format!("{secret:?} {written}").contains("canary"));
        assert_eq!(serde_json::from_str::<Parameter>(&written).unwrap(), secret.clone().masked());
        assert!(matches!(secret, Parameter::Secret(text) if text.expose() == "canary"));
    }

    #[test]
    fn values_and_metrics_come_back_as_they_were() {
        for parameter in [Parameter::from("x"), Parameter::from(1.5), Parameter::Metric(7.into()), Parameter::from(())]
        {
            let written = serde_json::to_string(&parameter).unwrap();
            assert_eq!(serde_json::from_str::<Parameter>(&written).unwrap(), parameter);
        }
    }
}
