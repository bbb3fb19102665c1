//! Time zones by their names in the IANA database.

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::error::{TimezoneError, shown};

/// The zone of that name, as the IANA database writes it: `UTC`, `Europe/London`.
///
/// Another text is answered with the nearest name, or that of the city in it: `europe/londn`, `New York`.
pub fn parse_timezone(name: &str) -> Result<Tz, TimezoneError> {
    name.parse().map_err(|_| TimezoneError { name: shown(name), nearest: nearest(name) })
}

fn nearest(written: &str) -> Option<&'static str> {
    // No name is longer than 32, and the distance costs the product of the lengths.
    if written.len() > 64 {
        return None;
    }
    let written = written.trim().to_lowercase().replace(' ', "_");
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let with_city =
        || names().find(|name| name.rsplit_once('/').is_some_and(|(_, city)| city.to_lowercase() == written));
    let spelt_alike = || {
        names()
            .map(|name| (strsim::osa_distance(&written, &name.to_lowercase()), name))
            // At most a third of the letters wrong, as everywhere in runnel.
            .filter(|(far, name)| *far <= written.len().max(name.len()).div_ceil(3))
            .min_by_key(|(far, _)| *far)
            .map(|(_, name)| name)
    };
    names().find(|name| name.to_lowercase() == written).or_else(with_city).or_else(spelt_alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_their_names() {
        for name in ["UTC", "Europe/London", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert_eq!(parse_timezone(name).unwrap().name(), name);
        }
    }

    #[test]
    fn a_misspelt_zone_is_answered_with_the_nearest() {
        for (written, meant) in [
            ("Europe/Lodnon", "Europe/London"),
            ("europe/london", "Europe/London"),
            ("London", "Europe/London"),
            ("New York", "America/New_York"),
            ("utc", "UTC"),
            (" UTC", "UTC"),
        ] {
            assert_eq!(parse_timezone(written).unwrap_err().nearest(), Some(meant), "{written}");
        }
        assert_eq!(
            parse_timezone("Europe/Lodnon").unwrap_err().to_string(),
            "`Europe/Lodnon` is no time zone; did you mean `Europe/London`?"
        );
    }

    #[test]
    fn what_is_like_no_zone_is_answered_with_what_zones_look_like() {
        for written in ["Mars/Olympus Mons", &"x".repeat(10_000), "+05:30", "\0\n"] {
            let refused = parse_timezone(written).unwrap_err().to_string();
            assert!(refused.ends_with("expected `UTC`, or a name like `Europe/London`"), "{refused}");
            assert!(refused.len() < 200 && !refused.contains(['\0', '\n']), "{refused}");
        }
    }
}
