//! One field of a crontab: which values it allows.
//!
//! All fields have one grammar and differ in their range and their names. The grammar is Vixie's, with `5/10` beside
//! it; what the crate `cron` reads differently (`**`, `*5`, weekdays from 1) never gets there.

use crate::error::shown;

/// What a field is called, its range, and the names of its values.
pub(crate) struct Kind {
    name: &'static str,
    first: u32,
    last: u32,
    /// Of the values from `first` on.
    names: &'static [&'static str],
}

const fn numbers(name: &'static str, first: u32, last: u32) -> Kind {
    Kind { name, first, last, names: &[] }
}

pub(crate) const SECOND: Kind = numbers("second", 0, 59);
pub(crate) const MINUTE: Kind = numbers("minute", 0, 59);
pub(crate) const HOUR: Kind = numbers("hour", 0, 23);
pub(crate) const DAY: Kind = numbers("day of month", 1, 31);
pub(crate) const MONTH: Kind = Kind {
    name: "month",
    first: 1,
    last: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// Sunday is both ends of it.
pub(crate) const WEEKDAY: Kind =
    Kind { name: "weekday", first: 0, last: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };

/// The values that a field allows, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    allowed: u64,
    /// Vixie's rules ask how a field is written, not what it allows: `*/2` is a star, `0-59` is none.
    pub(crate) begins_with_star: bool,
}

impl Field {
    /// Just this value, as if it had been written.
    pub(crate) fn only(value: u32) -> Self {
        Self { allowed: 1 << value, begins_with_star: false }
    }

    pub(crate) fn allows(self, value: u32) -> bool {
        value < 64 && self.allowed & (1 << value) != 0
    }

    /// The field in `text`, or which of its parts cannot be read, and what was expected there.
    pub(crate) fn parse(kind: &Kind, text: &str) -> Result<Self, String> {
        let mut allowed = 0;
        for part in text.split(',') {
            allowed |= kind.part(part).map_err(|why| match part == text {
                true => format!("the {} is `{}`: {why}", kind.name, shown(text)),
                false => format!("the {} has `{}` in its list: {why}", kind.name, shown(part)),
            })?;
        }
        Ok(Self { allowed, begins_with_star: text.starts_with('*') })
    }
}

impl Kind {
    /// The values of one part of a list.
    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last),
            Some((first, last)) => self.range(first, last)?,
            None => {
                let value = self.value(range)?;
                // `5/10`: from there to the end.
                (value, if step.is_some() { self.last } else { value })
            }
        };
        Ok((first..=last).step_by(step.unwrap_or(1)).fold(0, |allowed, value| allowed | 1 << value))
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        let step = number(text).ok_or_else(|| format!("after `/` comes a step, 1 to {}", self.last))?;
        match usize::try_from(step) {
            // A longer one would leave the first value alone, which is hardly what `*/90` was written for.
            Ok(step) if step >= 1 && step <= self.last as usize => Ok(step),
            _ => Err(format!("a step is 1 to {}", self.last)),
        }
    }

    fn range(&self, first: &str, last: &str) -> Result<(u32, u32), String> {
        if first.is_empty() || last.is_empty() || last.contains('-') || first == "*" || last == "*" {
            return Err(format!("a range is two values with `-` between them, {}", self.expected()));
        }
        match (self.value(first)?, self.value(last)?) {
            (from, to) if from > to => {
                // Up to Sunday, which ends a week as well as it begins one.
                let up_to_sunday = self.last == 7 && to == 0;
                let rest = if up_to_sunday { String::new() } else { format!(",{}-{last}", self.first) };
                Err(format!("a range runs upwards: write `{first}-{}{rest}`", self.last))
            }
            range => Ok(range),
        }
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        if let Some(at) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(self.first + at as u32);
        }
        number(text).filter(|value| (self.first..=self.last).contains(value)).ok_or_else(|| self.refusal(text))
    }

    fn refusal(&self, text: &str) -> String {
        let full_name =
            |name: &&&str| text.len() > 3 && text.get(..3).is_some_and(|three| three.eq_ignore_ascii_case(name));
        match self.names.iter().find(full_name) {
            Some(name) if text.bytes().all(|b| b.is_ascii_alphabetic()) => {
                format!("names are written with three letters, `{name}`")
            }
            _ => format!("expected {}", self.expected()),
        }
    }

    /// `0 to 59`, `1 to 12 or JAN to DEC`.
    fn expected(&self) -> String {
        match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!("{} to {} or {first} to {last}", self.first, self.last),
            _ => format!("{} to {}", self.first, self.last),
        }
    }
}

/// A number in plain digits: `parse` alone would take `+5` too. Too large a one is as good as any other beyond the range.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}
