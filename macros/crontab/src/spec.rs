//! The text of a crontab, as six fields.

use crate::error::shown;
use crate::fields::{DAY, Field, HOUR, MINUTE, MONTH, SECOND, WEEKDAY};

/// What separates fields. Line ends do not: a spec is one line.
pub(crate) const BLANKS: [char; 2] = [' ', '\t'];

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// What each field of a crontab allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) second: Field,
    pub(crate) minute: Field,
    pub(crate) hour: Field,
    pub(crate) day: Field,
    pub(crate) month: Field,
    pub(crate) weekday: Field,
}

impl Spec {
    /// Reads a spec without blanks around it; else says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('@') {
            return Self::parse(nickname(text)?);
        }
        let fields: Vec<_> = text.split(BLANKS).filter(|field| !field.is_empty()).take(8).collect();
        let (second, rest) = match fields.len() {
            5 => (Field::only(0), &fields[..]),
            6 => (Field::parse(&SECOND, fields[0])?, &fields[1..]),
            _ => return Err(wrong_count(&fields)),
        };
        Ok(Self {
            second,
            minute: Field::parse(&MINUTE, rest[0])?,
            hour: Field::parse(&HOUR, rest[1])?,
            day: Field::parse(&DAY, rest[2])?,
            month: Field::parse(&MONTH, rest[3])?,
            weekday: Field::parse(&WEEKDAY, rest[4])?,
        })
    }

    /// Whether it fires as time goes by, and not at times of day. How the second is written does not matter.
    pub(crate) fn follows_real_time(&self) -> bool {
        self.minute.begins_with_star || self.hour.begins_with_star
    }

    /// Vixie's rule: two restrictions on the day are alternatives, unless one is written as a star.
    pub(crate) fn either_day_field_will_do(&self) -> bool {
        !self.day.begins_with_star && !self.weekday.begins_with_star
    }
}

/// The fields that a nickname stands for.
fn nickname(text: &str) -> Result<&'static str, String> {
    if let Some((_, fields)) = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(fields);
    }
    if text.split(BLANKS).next().is_some_and(|name| name.eq_ignore_ascii_case("@every")) {
        return Err("what runs every so often is a timer".into());
    }
    if text.contains(BLANKS) {
        return Err("a nickname stands alone".into());
    }
    if text.eq_ignore_ascii_case("@reboot") {
        return Err("it names no time; a task runs when a worker starts".into());
    }
    let names: Vec<_> = NICKNAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
    Err(format!("the nicknames are {}", names.join(", ")))
}

fn wrong_count(fields: &[&str]) -> String {
    const EXPECTED: &str = "expected minute, hour, day of month, month and weekday, or a second before them";
    if let [word] = fields
        && let Some((name, _)) = NICKNAMES.iter().find(|(name, _)| name[1..].eq_ignore_ascii_case(word))
    {
        return format!("nicknames begin with `@`: write `{name}`");
    }
    if let Some(name) = fields.iter().find(|field| field.starts_with('@')) {
        return format!("a nickname like `{}` stands alone", shown(name));
    }
    match fields.len() {
        0 => EXPECTED.into(),
        1 => format!("it has 1 field; {EXPECTED}"),
        // Not counted further: somebody may have passed a book.
        8.. => format!("it has more than 7 fields; {EXPECTED}"),
        7 => format!("it has 7 fields; {EXPECTED}. There is no field for the year"),
        n => format!("it has {n} fields; {EXPECTED}"),
    }
}
