//! Names of tables, and texts as columns can hold them.

use std::borrow::Cow;

use md5::{Digest, Md5};

/// The longest name that PostgreSQL keeps whole. What is longer would be cut off, and two names could become one.
const LONGEST_NAME: usize = 63;

/// The tables of a store, quoted: no word of SQL is lost to users, and upper and lower case stay apart.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    name: String,
    pub(super) runs: String,
    pub(super) steps: String,
    pub(super) parameters: String,
    pub(super) events: String,
    /// Which version of the tables these are.
    pub(super) schema: String,
}

impl Tables {
    /// The tables whose names begin with that one; or what is wrong with it. Nothing else of the user's is ever part
    /// of a statement.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let goes_on_well = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !begins_well || !goes_on_well || name.len() > LONGEST_NAME {
            let shown: String = name.chars().take(LONGEST_NAME + 1).collect();
            return Err(format!(
                "`table_name` cannot be {shown:?}: expected 1 to {LONGEST_NAME} letters, digits or `_`, the first no digit"
            ));
        }
        if name.to_ascii_lowercase().starts_with("sqlite_") {
            return Err(format!("`table_name` cannot be {name:?}: SQLite keeps names with `sqlite_` to itself"));
        }
        let table = |part: &str| quoted(&fitted(name, part));
        Ok(Self {
            name: name.to_owned(),
            runs: table(""),
            steps: table("_steps"),
            parameters: table("_parameters"),
            events: table("_events"),
            schema: table("_schema"),
        })
    }

    /// As it was configured.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The number by which those who write in turn know each other.
    pub(super) fn turn(&self) -> i64 {
        // Two names with one number would only wait for each other without need.
        i64::from_be_bytes(xxhash_rust::xxh64::xxh64(self.runs.as_bytes(), 0).to_be_bytes())
    }

    /// The index for that, which is a part of its name.
    pub(super) fn index(&self, on: &str) -> String {
        quoted(&fitted(&self.name, &format!("_by_{on}")))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A name with an ending, and with a fingerprint in place of what is too long.
fn fitted(name: &str, ending: &str) -> String {
    if name.len() + ending.len() <= LONGEST_NAME {
        return format!("{name}{ending}");
    }
    let fingerprint = &fingerprint(name)[..8];
    let kept = LONGEST_NAME - ending.len() - fingerprint.len() - 1;
    format!("{}_{fingerprint}{ending}", &name[..kept])
}

/// Longer texts do not go into columns: PostgreSQL has a limit for what an index takes.
const LONGEST_KEY: usize = 400;

/// Begins the fingerprint in a key that is not the text itself. A text with this in it is never its own key.
const MARK: char = '\u{1b}';

/// Whether a text is its own key.
pub(super) fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST_KEY && !text.contains(['\0', MARK])
}

/// A text as a column can hold it: the text itself, unless it is very long or has characters that a database refuses.
///
/// Different texts have different keys, as far as fingerprints are different; that of a plain text is nothing else's.
pub(super) fn key(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return text.into();
    }
    let begins = text.chars().take(80).filter(|&c| c != '\0' && c != MARK);
    let mut key: String = begins.collect();
    key.push(MARK);
    key.push_str(&fingerprint(text));
    key.into()
}

fn fingerprint(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_that_are_no_plain_names_are_refused() {
        for name in ["", "1a", "a-b", "a b", "a\"b", "a;drop table x", "ä", "sqlite_x", &"a".repeat(64)] {
            assert!(Tables::named(name).is_err(), "{name}");
        }
        for name in ["a", "_", "Select", "runnel_logs", &"a".repeat(63)] {
            assert!(Tables::named(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_of_all_tables_fit_and_differ() {
        let long = "a".repeat(63);
        let mut seen = HashSet::new();
        for name in ["x".to_owned(), long.clone(), format!("{}b", &long[..62])] {
            let tables = Tables::named(&name).unwrap();
            for table in [&tables.runs, &tables.steps, &tables.parameters, &tables.events, &tables.index("created")] {
                assert!(table.len() <= LONGEST_NAME + 2, "{table}");
                assert!(seen.insert(table.clone()), "{table} twice");
            }
        }
    }

    #[test]
    fn keys_are_short_without_refused_characters_and_differ() {
        let long = "ä".repeat(5000);
        let texts = ["", "a", "a\0", "\0a", "a\u{1b}", "a\u{1b}b", &long, &format!("{long}x")];
        let keys: HashSet<_> = texts.iter().map(|text| key(text)).collect();

        assert_eq!(keys.len(), texts.len());
        assert!(keys.iter().all(|key| key.len() <= LONGEST_KEY && !key.contains('\0')));
        assert_eq!(key("tidy \"up\"/ä"), "tidy \"up\"/ä");
    }
}
