//! `runnel.toml`: settings by name and sections, each with the line it stands on.
//!
//! Refusals name file and line. They never quote the file: it may hold a password.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::sections::{self, Sections};
use super::{Origin, environment};

/// The file that is read when `RUNNEL_CONFIG` names no other.
const DEFAULT_FILE: &str = "runnel.toml";

/// A setting as somebody gave it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Path and text of the settings file, if there is one. One that was asked for by name must be there.
pub(super) fn find() -> Result<Option<(PathBuf, String)>, String> {
    let named = environment::variable("RUNNEL_CONFIG");
    let path = PathBuf::from(named.clone().unwrap_or_else(|| DEFAULT_FILE.into()));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => {
            let asked = if named.is_some() { " (named by RUNNEL_CONFIG)" } else { "" };
            Err(format!("the settings file {}{asked} cannot be read: {error}", super::shown(&path.to_string_lossy())))
        }
    }
}

/// Every setting in the text of a settings file, and every line that cannot be one. Its tables become `sections`.
pub(super) fn read(path: &Path, text: &str, sections: &mut Sections) -> (Vec<Given>, Vec<String>) {
    let line_at = |offset: usize| text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1;
    let origin = |offset: usize| Origin::File { path: path.to_owned(), line: Some(line_at(offset)) };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let refuse = |error: toml::de::Error| match error.span() {
            Some(span) => format!("{} is not TOML: {}", origin(span.start), error.message()),
            None => format!("{} is not TOML: {}", path.display(), error.message()),
        };
        return (Vec::new(), errors.into_iter().map(refuse).collect());
    }

    let plain: toml::Table = text.parse().unwrap_or_default();
    let (mut given, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in table.get_ref() {
        let at = name.span().start;
        if let (true, DeValue::Table(section)) = (sections::NAMES.contains(&&**name.get_ref()), value.get_ref()) {
            sections.read(name.get_ref(), section, &plain, &origin, &mut problems);
            continue;
        }
        let origin = origin(at);
        match as_text(value.get_ref()) {
            Some(text) => given.push(Given { name: name.get_ref().to_string(), text, origin }),
            None if super::Setting::named(name.get_ref()).is_none() => {
                problems.push(format!("{origin}: {}", super::load::unknown(name.get_ref())));
            }
            None => problems.push(format!(
                "{origin}: {} is {}: expected one value",
                super::shown(name.get_ref()),
                if value.get_ref().is_table() { "a table" } else { "an array" }
            )),
        }
    }
    (given, problems)
}

/// A value as it would stand in an environment variable.
fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            let value = u64::from_str_radix(number.as_str(), number.radix());
            Some(value.map_or_else(|_| number.to_string(), |n| n.to_string()))
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
