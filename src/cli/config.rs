//! `config show`: each setting, and where it came from. Secrets are masked by the settings themselves.

use clap::Command;
use serde::Serialize;

use crate::runs::mask;
use crate::settings::{Loaded, Origin, Sections, TABLE};

use super::{End, Out};

pub(super) fn command() -> Command {
    Command::new("config").about("Settings").subcommand_required(true).arg_required_else_help(true).subcommand(
        Command::new("show").about("Each setting with its value and where that came from").after_help(help()),
    )
}

/// What each setting is for, from the table of settings.
fn help() -> String {
    let mut text = String::from("Settings, their kinds and defaults:\n");
    for setting in TABLE {
        text.push_str(&format!("  {} ({}, {})\n", setting.name, setting.kind, default_of(&setting.default_text())));
        text.push_str(&format!("      {}\n", setting.help));
    }
    text
}

fn default_of(text: &str) -> &str {
    if text.is_empty() { "empty" } else { text }
}

#[derive(Serialize)]
struct Shown {
    name: String,
    value: String,
    from: String,
    variable: Option<String>,
    default: String,
    kind: &'static str,
    help: &'static str,
}

/// The sections, a line for each value.
fn sections(sections: &Sections) -> Vec<Shown> {
    let row = |name: String, value: String, from: &Origin, variable: Option<String>| Shown {
        name,
        value,
        from: from.to_string(),
        variable,
        default: String::new(),
        kind: "section",
        help: "see the part of the product that it is for",
    };
    let mut rows = Vec::new();
    let store = &sections.run_log_store;
    if let Some(kind) = store.kind() {
        rows.push(row("run_log_store".into(), kind.to_owned(), store.origin(), Some("RUNNEL_RUN_LOG_STORE".into())));
    }
    let kind = store.kind().unwrap_or_default();
    for (field, value) in masked(&store.config(kind)) {
        let variable = format!("RUNNEL_RUN_LOG_STORE__{}", field.to_ascii_uppercase());
        rows.push(row(format!("run_log_store.{field}"), value, store.origin_of(kind, &field), Some(variable)));
    }
    for (name, section) in &sections.jobs {
        let fields = masked(&section.table);
        rows.extend(fields.map(|(field, value)| row(format!("job.{name}.{field}"), value, &section.origin, None)));
    }
    rows
}

/// The values of a table as text, secrets masked.
fn masked(table: &toml::Table) -> impl Iterator<Item = (String, String)> {
    let json = serde_json::to_value(table).unwrap_or_default();
    let masked = mask::map(json.as_object().unwrap_or(&serde_json::Map::new()));
    masked.into_iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => (name, text),
        other => (name, other.to_string()),
    })
}

pub(super) fn run(loaded: &Loaded, out: &mut Out) -> Result<(), End> {
    let shown: Vec<Shown> = TABLE
        .iter()
        .map(|setting| Shown {
            name: setting.name.to_owned(),
            value: setting.show(&loaded.settings),
            from: loaded.origin_of(setting.name).to_string(),
            variable: Some(setting.variable()),
            default: setting.default_text(),
            kind: setting.kind,
            help: setting.help,
        })
        .chain(sections(&loaded.sections))
        .collect();
    if out.is_json() {
        return out.object(&shown);
    }
    out.table(["SETTING", "VALUE", "FROM"], shown.into_iter().map(|one| [one.name, one.value, one.from]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::Kept;
    use crate::settings::{Overrides, load};

    #[test]
    fn settings_are_shown_with_where_they_came_from_and_without_passwords() {
        let code = Overrides::new()
            .with("redis_url", "redis://ann:canary@h")
            .with("max_crashes", 9u32)
            .with("run_log_store", "postgres")
            .with("run_log_store.connection_string", "postgresql://ann:canary@db/runs")
            .with("run_log_store.api_key", "canary");
        let loaded = load(&Overrides::new().with("key_prefix", "a-"), &code).unwrap();

        for json in [false, true] {
            let kept = Kept::default();
            run(&loaded, &mut kept.out(json)).unwrap();
            let text = kept.text();
            assert!(!text.contains("canary") && text.contains("redis://ann:***@h"), "{text}");
            assert!(text.contains("command line") && text.contains("code"), "{text}");
            assert!(text.contains("postgresql://ann:***@db/runs") && text.contains("run_log_store.api_key"), "{text}");
        }
    }
}
