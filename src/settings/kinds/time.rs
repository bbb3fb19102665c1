//! Times: a number and its unit.

use std::time::Duration;

use super::{Kind, digits};

/// A time whose bare number counts seconds.
pub(in crate::settings) struct Seconds;
/// A time whose bare number counts milliseconds.
pub(in crate::settings) struct Millis;

impl Kind for Seconds {
    type Value = Duration;
    const NAME: &'static str = "duration";
    const EXPECTED: &'static str = "a duration like `250ms`, `10s`, `2m` or `1h`, or a number of seconds";
    fn read(text: &str) -> Option<Duration> {
        duration(text, 1_000_000)
    }
    fn show(value: &Duration) -> String {
        show_duration(*value)
    }
}

impl Kind for Millis {
    type Value = Duration;
    const NAME: &'static str = "duration";
    const EXPECTED: &'static str = "a duration like `250ms`, `10s`, `2m` or `1h`, or a number of milliseconds";
    fn read(text: &str) -> Option<Duration> {
        duration(text, 1_000)
    }
    fn show(value: &Duration) -> String {
        show_duration(*value)
    }
}

/// The time in a text like `1.5s`; a bare number counts units of `bare` microseconds.
fn duration(text: &str, bare: u64) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let micros: u64 = match unit.trim_start() {
        "" => bare,
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = digits(whole)?.parse().ok()?;
    // Nine digits are finer than a microsecond in every unit but days and hours, where nobody writes more.
    let fraction = digits(fraction)?;
    if fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(fraction.len() as u32);
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(micros) / u128::from(scale);
    let total = u128::from(whole) * u128::from(micros) + part;
    Some(Duration::from_micros(u64::try_from(total).ok()?))
}

/// A time as people write it, exactly.
pub(crate) fn show_duration(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        m if m % 1_000_000 == 0 => format!("{}s", m / 1_000_000),
        m if m % 1_000 == 0 => format!("{}ms", m / 1_000),
        m => format!("{m}us"),
    }
}

/// The time in a text like `250ms`, `10s`, `2m` or `1h`; a bare number counts seconds.
pub(crate) fn read_duration(text: &str) -> Option<Duration> {
    Seconds::read(text)
}
