//! What people are told whose crontab is none.

use runnel_crontab::Crontab;

fn refusal(spec: &str) -> String {
    spec.parse::<Crontab>().unwrap_err().to_string()
}

#[test]
fn a_refusal_names_the_field_what_it_holds_and_what_was_expected() {
    for (spec, expected) in [
        ("60 * * * *", "`60 * * * *` is no crontab: the minute is `60`: expected 0 to 59"),
        ("* * 0 * *", "`* * 0 * *` is no crontab: the day of month is `0`: expected 1 to 31"),
        ("* * * foo *", "`* * * foo *` is no crontab: the month is `foo`: expected 1 to 12 or JAN to DEC"),
        (
            "0 0 * * MONDAY",
            "`0 0 * * MONDAY` is no crontab: the weekday is `MONDAY`: names are written with three letters, `MON`",
        ),
        ("1,x * * * *", "`1,x * * * *` is no crontab: the minute has `x` in its list: expected 0 to 59"),
        ("*/0 * * * *", "`*/0 * * * *` is no crontab: the minute is `*/0`: a step is 1 to 59"),
        ("*/90 * * * *", "`*/90 * * * *` is no crontab: the minute is `*/90`: a step is 1 to 59"),
        (
            "5- * * * *",
            "`5- * * * *` is no crontab: the minute is `5-`: a range is two values with `-` between them, 0 to 59",
        ),
        ("0 22-2 * * *", "`0 22-2 * * *` is no crontab: the hour is `22-2`: a range runs upwards: write `22-23,0-2`"),
        (
            "0 0 * * FRI-SUN",
            "`0 0 * * FRI-SUN` is no crontab: the weekday is `FRI-SUN`: a range runs upwards: write `FRI-7`",
        ),
        ("daily", "`daily` is no crontab: nicknames begin with `@`: write `@daily`"),
        ("0 @daily * * *", "`0 @daily * * *` is no crontab: the hour is `@daily`: expected 0 to 23"),
        ("@every 5m", "`@every 5m` is no crontab: what runs every so often is a timer"),
        ("@daily 5", "`@daily 5` is no crontab: a nickname stands alone"),
        ("@reboot", "`@reboot` is no crontab: it names no time; a task runs when a worker starts"),
        (
            "@never",
            "`@never` is no crontab: the nicknames are `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight`, `@hourly`",
        ),
        (
            "* * *",
            "`* * *` is no crontab: it has 3 fields; expected minute, hour, day of month, month and weekday, or a second before them",
        ),
        ("", "a crontab is missing: expected minute, hour, day of month, month and weekday, or a second before them"),
        ("0 0 30 2 *", "the crontab `0 0 30 2 *` never fires: no year has a day that its day and month fields allow"),
    ] {
        assert_eq!(refusal(spec), expected);
    }
}

#[test]
fn what_a_refusal_advises_is_a_crontab() {
    for advised in ["0 22-23,0-2 * * *", "0 0 * * FRI-7", "0 0 * * 5-7,0-1", "0 0 20-31,1-10 * *"] {
        advised.parse::<Crontab>().unwrap();
    }
}

#[test]
fn a_refusal_fits_a_line_whatever_was_written() {
    for spec in ["*\n* * * *", &"* ".repeat(100_000), &"1,".repeat(100_000), &"9".repeat(100_000), "\0 \x1b[31m * * *"]
    {
        let refused = refusal(spec);
        assert!(refused.len() < 500, "{refused}");
        assert!(!refused.contains(['\n', '\0', '\x1b']), "{refused}");
    }
}

#[test]
fn a_crontab_is_shown_as_it_was_written() {
    let crontab: Crontab = " 45 17\t* * Mon-fri ".parse().unwrap();
    assert_eq!(crontab.to_string(), "45 17\t* * Mon-fri");
    assert_eq!(format!("{crontab:?}"), r#"Crontab("45 17\t* * Mon-fri")"#);
}
