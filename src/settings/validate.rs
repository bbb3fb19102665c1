//! Settings that cannot work, alone or together.

use std::time::Duration;

use crate::codec::{AnyCodec, InvalidCodec};
use crate::error::Failure;

use super::{Durability, Settings, TABLE, names, show_duration};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why the settings cannot work, and which of them are to blame.
pub(super) struct Problem {
    pub(super) settings: Vec<&'static str>,
    pub(super) text: String,
}

impl Settings {
    /// Refuses settings that cannot work, all of them at once, each with a sentence.
    pub fn validate(&self) -> Result<(), Failure> {
        let problems: Vec<String> = problems(self).into_iter().map(|problem| problem.text).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::Invalid(problems.join("\n"))) }
    }
}

/// Everything that is wrong with these settings.
pub(super) fn problems(settings: &Settings) -> Vec<Problem> {
    let mut found = unreadable(settings);
    numbers(settings, &mut found);
    durations(settings, &mut found);
    super::http::problems(settings, &mut found);
    let mut refuse = |names: &[&'static str], text: String| found.push(Problem { settings: names.to_vec(), text });

    if let Some(why) = names::why_no_prefix(&settings.key_prefix) {
        refuse(&["key_prefix"], format!("`{}` cannot be the `key_prefix`: {why}", super::shown(&settings.key_prefix)));
    }
    if let Err(unknown) = runnel_crontab::parse_timezone(&settings.timezone) {
        refuse(&["timezone"], format!("`timezone` cannot be used: {unknown}"));
    }
    if let Err(missing @ InvalidCodec::FeatureOff { .. }) = AnyCodec::from_name(&settings.default_codec) {
        refuse(&["default_codec"], missing.to_string());
    }
    if settings.default_read_timeout >= settings.default_grace_period {
        refuse(
            &["default_read_timeout", "default_grace_period"],
            format!(
                "`default_read_timeout` ({}) must be shorter than `default_grace_period` ({})",
                show_duration(settings.default_read_timeout),
                show_duration(settings.default_grace_period)
            ),
        );
    }
    if settings.default_commit_linger.saturating_mul(3) > settings.default_lock_expiry {
        refuse(
            &["default_commit_linger", "default_lock_expiry"],
            format!(
                "`default_commit_linger` ({}) must be at most a third of `default_lock_expiry` ({}): a commit must not \
                 come after the lease",
                show_duration(settings.default_commit_linger),
                show_duration(settings.default_lock_expiry)
            ),
        );
    }
    found
}

/// Values set in code that nobody could have written as text: a codec that does not exist, a level.
fn unreadable(settings: &Settings) -> Vec<Problem> {
    let mut copy = settings.clone();
    TABLE
        .iter()
        // The text of an address is masked, and cannot be read back.
        .filter(|setting| setting.name != "redis_url")
        .filter_map(|setting| {
            let text = setting.show(settings);
            let refused = !(setting.read)(&mut copy, &text);
            refused.then(|| Problem {
                settings: vec![setting.name],
                text: format!("`{}` is `{}`: expected {}", setting.name, super::shown(&text), setting.expected),
            })
        })
        .collect()
}

fn numbers(settings: &Settings, found: &mut Vec<Problem>) {
    let replicas = match settings.durability {
        Durability::Replicated(n) => u64::from(n),
        Durability::Acked | Durability::Fsynced => 1,
    };
    let attempts = settings.default_assignment_attempts.map_or(1, u64::from);
    for (name, value, least, most) in [
        ("default_partition_count", settings.default_partition_count.into(), 1, 65_536),
        ("default_partition_size", settings.default_partition_size, 1, 1_000_000_000),
        ("dead_letter_size", settings.dead_letter_size, 1, 1_000_000_000),
        ("slot_groups", settings.slot_groups.into(), 1, 16_384),
        ("max_crashes", settings.max_crashes.into(), 1, 1_000_000),
        ("default_prefetch_count", settings.default_prefetch_count.into(), 1, 1_000_000),
        ("default_pool_size", settings.default_pool_size.into(), 1, 1_024),
        ("prefetch_bytes", settings.prefetch_bytes as u64, 1 << 10, 1 << 40),
        ("decode_limit", settings.decode_limit as u64, 1, 1 << 40),
        ("default_assignment_attempts", attempts, 1, 1_000_000),
        ("durability", replicas, 1, 1_000),
    ] {
        if value < least || value > most {
            let text = format!("`{name}` is {value}: it must be at least {least} and at most {most}");
            found.push(Problem { settings: vec![name], text });
        }
    }
}

fn durations(settings: &Settings, found: &mut Vec<Problem>) {
    let ms = Duration::from_millis;
    for (name, value, least, most) in [
        ("leadership_poll_interval", settings.leadership_poll_interval, ms(100), HOUR),
        ("default_lock_expiry", settings.default_lock_expiry, ms(500), DAY),
        ("default_read_timeout", settings.default_read_timeout, ms(10), HOUR),
        ("default_grace_period", settings.default_grace_period, ms(10), DAY),
        ("send_timeout", settings.send_timeout, ms(1), DAY),
        ("default_assignment_sleep", settings.default_assignment_sleep, ms(1), HOUR),
        ("default_join_delay", settings.default_join_delay, Duration::ZERO, HOUR),
        ("default_commit_linger", settings.default_commit_linger, Duration::ZERO, HOUR),
    ] {
        if value < least || value > most {
            let [value, least, most] = [value, least, most].map(show_duration);
            let text = format!("`{name}` is {value}: it must be at least {least} and at most {most}");
            found.push(Problem { settings: vec![name], text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_work() {
        Settings::default().validate().unwrap();
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        type Change = fn(&mut Settings);
        let changes: [(&str, Change); 23] = [
            ("default_partition_count", |s| s.default_partition_count = 0),
            ("default_partition_count", |s| s.default_partition_count = u32::MAX),
            ("default_partition_size", |s| s.default_partition_size = 0),
            ("default_lock_expiry", |s| s.default_lock_expiry = Duration::from_millis(499)),
            ("default_lock_expiry", |s| s.default_lock_expiry = Duration::MAX),
            ("default_grace_period", |s| s.default_grace_period = Duration::MAX),
            ("default_commit_linger", |s| s.default_commit_linger = Duration::MAX),
            ("send_timeout", |s| s.send_timeout = Duration::ZERO),
            ("default_prefetch_count", |s| s.default_prefetch_count = 0),
            ("slot_groups", |s| s.slot_groups = 0),
            ("slot_groups", |s| s.slot_groups = 16_385),
            ("default_pool_size", |s| s.default_pool_size = 0),
            ("max_crashes", |s| s.max_crashes = 0),
            ("prefetch_bytes", |s| s.prefetch_bytes = 0),
            ("decode_limit", |s| s.decode_limit = usize::MAX),
            ("durability", |s| s.durability = Durability::Replicated(0)),
            ("key_prefix", |s| s.key_prefix = "a{b}".into()),
            ("key_prefix", |s| s.key_prefix = "a\0b".into()),
            ("key_prefix", |s| s.key_prefix = "x".repeat(10_000)),
            ("default_codec", |s| s.default_codec = "yaml".into()),
            ("default_partitioner", |s| s.default_partitioner = "random".into()),
            ("log_level", |s| s.log_level = "loud".into()),
            ("timezone", |s| s.timezone = String::new()),
        ];
        for (name, change) in changes {
            assert!(refusal(change).contains(name), "{name}");
        }
    }

    #[test]
    fn a_read_must_end_within_the_grace_period() {
        let refused = refusal(|s| s.default_grace_period = Duration::from_secs(2));
        assert_eq!(refused, "`default_read_timeout` (2s) must be shorter than `default_grace_period` (2s)");
    }

    #[test]
    fn a_zone_that_does_not_exist_is_answered_with_the_nearest() {
        let refused = refusal(|s| s.timezone = "Europe/Lodnon".into());
        assert_eq!(
            refused,
            "`timezone` cannot be used: `Europe/Lodnon` is no time zone; did you mean `Europe/London`?"
        );
    }

    #[test]
    fn a_commit_must_not_wait_longer_than_the_lease() {
        let refused = refusal(|s| s.default_commit_linger = Duration::from_secs(5));
        assert!(refused.contains("must be at most a third of `default_lock_expiry` (10s)"), "{refused}");
    }
}
