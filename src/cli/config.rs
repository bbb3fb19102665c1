//! `config show`: each setting, and where it came from. Secrets are masked by the settings themselves.

use clap::Command;
use serde::Serialize;

use crate::settings::{Loaded, TABLE};

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
    name: &'static str,
    value: String,
    from: String,
    variable: String,
    default: String,
    kind: &'static str,
    help: &'static str,
}

pub(super) fn run(loaded: &Loaded, out: &mut Out) -> Result<(), End> {
    let shown: Vec<Shown> = TABLE
        .iter()
        .map(|setting| Shown {
            name: setting.name,
            value: setting.show(&loaded.settings),
            from: loaded.origin_of(setting.name).to_string(),
            variable: setting.variable(),
            default: setting.default_text(),
            kind: setting.kind,
            help: setting.help,
        })
        .collect();
    if out.is_json() {
        return out.object(&shown);
    }
    out.table(["SETTING", "VALUE", "FROM"], shown.into_iter().map(|one| [one.name.to_owned(), one.value, one.from]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::Kept;
    use crate::settings::{Overrides, load};

    #[test]
    fn settings_are_shown_with_where_they_came_from_and_without_passwords() {
        let code = Overrides::new().with("redis_url", "redis://ann:canary@h").with("max_crashes", 9u32);
        let loaded = load(&Overrides::new().with("key_prefix", "a-"), &code).unwrap();

        for json in [false, true] {
            let kept = Kept::default();
            run(&loaded, &mut kept.out(json)).unwrap();
            let text = kept.text();
            assert!(!text.contains("canary") && text.contains("redis://ann:***@h"), "{text}");
            assert!(text.contains("command line") && text.contains("code"), "{text}");
        }
    }
}
