//! What stands behind the `?` of an address. What nobody knows is refused as well: a misspelt condition must not be none.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};

use crate::nearest::did_you_mean;
use crate::settings::shown;

use super::Refusal;

/// The parameters that nobody has asked for yet.
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let given = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        given.map(|Query(given)| Self(given)).map_err(|error| Refusal::parameter("query", error.to_string()))
    }
}

impl Parameters {
    /// The text under that name, if there is one.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(at) = self.0.iter().position(|(given, _)| given == name) else { return Ok(None) };
        let (_, text) = self.0.remove(at);
        match self.0.iter().any(|(given, _)| given == name) {
            true => Err(Refusal::parameter(name, format!("`{name}` is given twice"))),
            false => Ok(Some(text)),
        }
    }

    /// The same, read.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = || Refusal::parameter(name, format!("`{name}` cannot be `{}`: expected {expected}", shown(&text)));
        read(&text).map(Some).ok_or_else(wrong)
    }

    /// A number that is not negative.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<usize>, Refusal> {
        self.read(name, "a whole number, not negative", |text| {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // What is too large to count is as good as all there is.
            is_plain.then(|| text.parse().unwrap_or(usize::MAX))
        })
    }

    /// How many are wanted at most: from one on.
    pub(super) fn limit(&mut self, most: usize) -> Result<Option<usize>, Refusal> {
        match self.count("limit")? {
            Some(limit) if limit == 0 || limit > most => {
                Err(Refusal::parameter("limit", format!("`limit` is {limit}: it must be at least 1 and at most {most}")))
            }
            limit => Ok(limit),
        }
    }

    /// Whether something is wanted; the bare name says so.
    pub(super) fn truth(&mut self, name: &str) -> Result<bool, Refusal> {
        let said = self.read(name, "`true` or `false`", |text| match text {
            "" | "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        });
        Ok(said?.unwrap_or(false))
    }

    /// A time.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
        let expected = "a time like `2026-11-22T02:00:00Z`, or seconds of Unix time";
        self.read(name, expected, |text| {
            let seconds = || text.parse::<i64>().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()).or_else(seconds)
        })
    }

    /// A list behind commas; nothing where the name is not given.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let read: Result<Vec<T>, String> = words.map(read).collect();
        read.map(Some).map_err(|why| Refusal::parameter(name, why))
    }

    /// What is left.
    pub(super) fn rest(self) -> Vec<(String, String)> {
        self.0
    }

    /// Refuses whatever is left.
    pub(super) fn nothing_else(self, known: &[&str]) -> Result<(), Refusal> {
        let Some((name, _)) = self.0.into_iter().next() else { return Ok(()) };
        let near = did_you_mean(&name, known.iter().copied());
        let text = format!("there is no parameter `{}`{near}; there are: {}", shown(&name), known.join(", "));
        Err(Refusal::parameter(shown(&name), text))
    }
}
