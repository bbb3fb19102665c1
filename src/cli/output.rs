//! Results on stdout: tables for people, JSON for programs.
//!
//! Names, errors and records are other people's texts: what a terminal would obey is escaped in both shapes. A reader
//! that has gone away is an end, not a panic.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::logs::escape;

use super::End;

/// Where results go.
pub(crate) struct Out {
    json: bool,
    to: Box<dyn Write + Send>,
}

impl Out {
    pub(crate) fn new(json: bool, to: Box<dyn Write + Send>) -> Self {
        Self { json, to }
    }

    /// Whether a program reads it.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One line for people.
    pub(super) fn line(&mut self, text: &str) -> Result<(), End> {
        self.raw(&format!("{}\n", escape(text)))
    }

    /// Text of our own, as it is.
    pub(super) fn raw(&mut self, text: &str) -> Result<(), End> {
        self.to.write_all(text.as_bytes())?;
        Ok(self.to.flush()?)
    }

    /// One object on a line of its own, for programs.
    pub(super) fn object(&mut self, value: &impl Serialize) -> Result<(), End> {
        let text = serde_json::to_string(value).map_err(|error| End::Unwritten(error.into()))?;
        let mut plain = String::with_capacity(text.len() + 1);
        for c in text.chars() {
            // JSON itself has no such characters, so they stand within texts, where they may be written by number.
            if escape(c.encode_utf8(&mut [0; 4])).starts_with('\\') && c != '\\' {
                plain.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            } else {
                plain.push(c);
            }
        }
        plain.push('\n');
        self.raw(&plain)
    }

    /// A table, as wide as the terminal.
    pub(super) fn table<const N: usize>(
        &mut self,
        titles: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<(), End> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(titles);
        for row in rows {
            table.add_row(row.map(|cell| escape(&cell)));
        }
        let text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        self.raw(&text)
    }
}

/// A number for people: 12,345.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that may be unknown.
pub(super) fn or_unknown(number: Option<u64>) -> String {
    number.map_or_else(|| "?".into(), grouped)
}

/// An instant of Unix time for people and for programs.
pub(super) fn instant(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// Partitions for people: `0-3, 7`.
pub(super) fn ranges(partitions: impl IntoIterator<Item = u32>) -> String {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for partition in partitions {
        match found.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(partition) => *last = partition,
            _ => found.push((partition, partition)),
        }
    }
    let show = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    found.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Output that is kept.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(crate) fn out(&self, json: bool) -> Out {
            Out::new(json, Box::new(self.clone()))
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_text_of_a_user_reaches_a_terminal_as_a_command() {
        let evil = "a\x1b[2J\u{9b}31m\u{202e}\x7f\nb";
        let kept = Kept::default();
        kept.out(false).line(evil).unwrap();
        kept.out(false).table(["NAME"], [[evil.to_owned()]]).unwrap();
        kept.out(true).object(&serde_json::json!({ "name": evil })).unwrap();

        let text = kept.text();
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(obeyed), "{text:?}");
        assert_eq!(text.lines().count(), 4);
        let object: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(object["name"], evil);
    }

    #[test]
    fn numbers_and_partitions_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(ranges([0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
        assert_eq!(ranges([u32::MAX]), u32::MAX.to_string());
        assert_eq!(ranges([]), "");
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(u64::MAX), u64::MAX.to_string());
    }
}
