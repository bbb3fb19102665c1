//! The sections of the settings: tables that parts of the product read themselves, with where each value came from.
//!
//! Here only their shape is checked. What a store or a job makes of its section is told when it is opened or declared.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::Origin;

/// The sections that a settings file may have.
pub(super) const NAMES: [&str; 2] = [RUN_LOG_STORE, JOB];

const RUN_LOG_STORE: &str = "run_log_store";
const JOB: &str = "job";

/// All sections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sections {
    /// `[run_log_store]`: where documents of runs and lines of the task log are kept.
    pub run_log_store: StoreSection,
    /// `[job.NAME]`: what holds for a run of that job.
    pub jobs: BTreeMap<String, Section>,
}

/// A table, and where it stands.
#[derive(Clone, PartialEq)]
pub struct Section {
    /// What it says.
    pub table: Table,
    /// Where it begins.
    pub origin: Origin,
}

impl fmt::Debug for Section {
    /// Names only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.keys()).finish()
    }
}

/// The type of a store and its configuration, from all sources.
#[derive(Clone, Default, PartialEq)]
pub struct StoreSection {
    kind: Option<(String, Origin)>,
    /// The weakest source first.
    fields: Vec<Field>,
}

#[derive(Clone, PartialEq)]
struct Field {
    name: String,
    value: Value,
    origin: Origin,
    /// The type that its source has named, for which alone it is meant.
    kind: Option<String>,
}

impl fmt::Debug for StoreSection {
    /// Names only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&str> = self.fields.iter().map(|field| &*field.name).collect();
        f.debug_struct("StoreSection").field("type", &self.kind()).field("config", &fields).finish()
    }
}

impl StoreSection {
    /// The type that somebody named.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_ref().map(|(kind, _)| &**kind)
    }

    /// Where the type was named.
    pub fn origin(&self) -> &Origin {
        self.kind.as_ref().map_or(&Origin::Default, |(_, origin)| origin)
    }

    /// The configuration of a store of that type. What a source says of the type it names is not meant for another one.
    pub fn config(&self, kind: &str) -> Table {
        self.fields_of(kind).map(|field| (field.name.clone(), field.value.clone())).collect()
    }

    /// Where a field of that configuration was given.
    pub fn origin_of(&self, kind: &str, field: &str) -> &Origin {
        self.fields_of(kind).filter(|one| one.name == field).last().map_or(&Origin::Default, |one| &one.origin)
    }

    fn fields_of(&self, kind: &str) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.kind.as_deref().is_none_or(|meant| meant == kind))
    }

    fn set_kind(&mut self, kind: &str, origin: Origin) {
        self.kind = Some((kind.to_owned(), origin));
    }

    fn set_field(&mut self, name: &str, value: Value, origin: Origin) {
        let same_source = |other: &Origin| std::mem::discriminant(other) == std::mem::discriminant(&origin);
        let kind = self.kind.as_ref().filter(|(_, named)| same_source(named)).map(|(kind, _)| kind.clone());
        self.fields.push(Field { name: name.to_owned(), value, origin, kind });
    }
}

impl Sections {
    /// Takes a value that is named like a setting: `run_log_store`, the type, and `run_log_store.FIELD`. None: it is
    /// about no section.
    pub(super) fn set(&mut self, name: &str, text: &str, origin: &Origin) -> Option<Result<(), String>> {
        if name == JOB {
            return Some(Err(format!("{origin}: {name} is one value: expected a section")));
        }
        match name.strip_prefix(RUN_LOG_STORE)?.split_at_checked(1) {
            None if text.is_empty() => {
                return Some(Err(format!("{origin}: {name} is empty: expected a type of store")));
            }
            None => self.run_log_store.set_kind(text, origin.clone()),
            Some((".", field)) if !field.is_empty() => {
                self.run_log_store.set_field(field, scalar(text), origin.clone());
            }
            Some(_) => return None,
        }
        Some(Ok(()))
    }

    /// Takes a table of a settings file. `place` knows the line of an offset.
    pub(super) fn read(
        &mut self,
        name: &str,
        table: &DeTable<'_>,
        plain: &Table,
        place: &dyn Fn(usize) -> Origin,
        problems: &mut Vec<String>,
    ) {
        let plain = plain.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
        match name {
            RUN_LOG_STORE => self.read_store(table, &plain, place, problems),
            _ => {
                for job in table.keys() {
                    let (origin, name) = (place(job.span().start), job.get_ref().to_string());
                    match plain.get(&name) {
                        Some(Value::Table(table)) => {
                            self.jobs.insert(name, Section { table: table.clone(), origin });
                        }
                        _ => problems.push(format!(
                            "{origin}: job.{} is one value: expected a section `[job.NAME]`",
                            super::shown(&name)
                        )),
                    }
                }
            }
        }
    }

    fn read_store(
        &mut self,
        table: &DeTable<'_>,
        plain: &Table,
        place: &dyn Fn(usize) -> Origin,
        problems: &mut Vec<String>,
    ) {
        let store = &mut self.run_log_store;
        if let Some((name, _)) = table.get_key_value("type") {
            let origin = place(name.span().start);
            match plain.get("type") {
                Some(Value::String(kind)) => store.set_kind(kind, origin),
                _ => problems.push(format!("{origin}: {RUN_LOG_STORE}.type: expected the name of a type of store")),
            }
        }
        for (name, value) in table {
            let (origin, name) = (place(name.span().start), name.get_ref());
            match (&**name, value.get_ref()) {
                ("type", _) => {}
                ("config", DeValue::Table(config)) => {
                    let plain = plain.get("config").and_then(Value::as_table);
                    for field in config.keys() {
                        let name = field.get_ref();
                        let value = plain.and_then(|plain| plain.get(&**name)).cloned();
                        let value = value.expect("both were read from the same text");
                        store.set_field(name, value, place(field.span().start));
                    }
                }
                ("config", _) => problems.push(format!("{origin}: {RUN_LOG_STORE}.config: expected a table")),
                (other, _) => problems.push(format!(
                    "{origin}: {RUN_LOG_STORE}: unknown field `{}`; expected `type` or `config`",
                    super::shown(other)
                )),
            }
        }
    }
}

/// The value that the environment or code means: a number, a truth value or a quoted text of TOML; else the text itself.
fn scalar(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    // More than one: the text brought a line of its own.
    let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    match value {
        Some(scalar @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::String(_))) => scalar,
        _ => Value::String(text.to_owned()),
    }
}

/// The name of what a variable of the environment sets: `run_log_store.table_name`.
pub(super) fn named_by(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix("RUNNEL_RUN_LOG_STORE")?;
    match rest.strip_prefix("__") {
        None if rest.is_empty() => Some(RUN_LOG_STORE.to_owned()),
        Some(field) if !field.is_empty() => Some(format!("{RUN_LOG_STORE}.{}", field.to_ascii_lowercase())),
        _ => None,
    }
}
