use super::*;

fn read(kind: Kind, attr: TokenStream) -> (Options, Vec<String>) {
    let mut problems = Problems::default();
    let options = Options::read(kind, attr, &mut problems);
    (options, problems.texts())
}

#[track_caller]
fn assert_changes(kind: Kind, attr: TokenStream, expected: TokenStream) {
    let (options, problems) = read(kind, attr);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(options.changes().iter().cloned().collect::<TokenStream>().to_string(), expected.to_string());
}

#[track_caller]
fn refused(kind: Kind, attr: TokenStream, why: &str) {
    let text = attr.to_string();
    let (_, problems) = read(kind, attr);
    assert!(problems.len() == 1 && problems[0].contains(why), "{text}\nexpected: {why}\n{problems:?}");
}

#[test]
fn every_option_has_an_example_that_is_accepted() {
    let of = |kind, own: &[Known], before: &str| {
        for (name, example) in own.iter().chain(&OF_ALL) {
            let more = match *name {
                "interval" => "",
                "delivery" => "on_leader, ",
                _ => before,
            };
            let first = if kind == Kind::Crontab { "\"@daily\", " } else { "" };
            let attr = format!("{first}{more}{example}").parse().expect("examples are Rust");
            assert_eq!(read(kind, attr).1, Vec::<String>::new(), "{example}");
        }
    };
    of(Kind::Task, &[], "");
    of(Kind::Timer, &OF_TIMERS, "interval = \"10s\", ");
    of(Kind::Crontab, &OF_CRONTABS, "");
}

#[test]
fn what_is_not_said_is_left_to_the_app() {
    assert_changes(Kind::Task, quote!(), quote!());
    assert_changes(Kind::Timer, quote!(interval = "10s"), quote!());
    assert_changes(Kind::Crontab, quote!("@daily"), quote!());
}

#[test]
fn what_is_said_becomes_a_call_each() {
    let time = quote!(::core::time::Duration::from_millis);
    assert_changes(
        Kind::Timer,
        quote!(interval = "10s", jitter = "10s", overlap = "queue", on_leader, timeout = "1m"),
        quote! {
            .jitter(#time(10000u64))
            .overlap(::runnel::__private::Overlap::Queue)
            .on_leader()
            .timeout(#time(60000u64))
        },
    );
    assert_changes(
        Kind::Crontab,
        quote!(
            "45 17 * * *",
            timezone = "Europe/London",
            on_leader,
            max_lateness = "5m",
            delivery = "at_least_once",
            exception_policy = "halt"
        ),
        quote! {
            .timezone("Europe/London")
            .on_leader()
            .max_lateness(#time(300000u64))
            .delivery(::runnel::__private::Delivery::AtLeastOnce)
            .exception_policy(::runnel::__private::ExceptionPolicy::Halt)
        },
    );
}

#[test]
fn missed_instants_are_named_or_counted() {
    let missed = quote!(::runnel::__private::Missed);
    assert_changes(Kind::Crontab, quote!("@daily", missed = "skip"), quote!(.missed(#missed::Skip)));
    assert_changes(Kind::Crontab, quote!("@daily", missed = "latest"), quote!(.missed(#missed::Latest)));
    assert_changes(Kind::Crontab, quote!("@daily", missed = "all(60)"), quote!(.missed(#missed::All(60u32))));
    assert_changes(Kind::Crontab, quote!("@daily", missed = all(60)), quote!(.missed(#missed::All(60u32))));
    refused(Kind::Crontab, quote!("@daily", missed = "last"), "did you mean `latest`?");
    refused(Kind::Crontab, quote!("@daily", missed = "all"), "there are `skip`, `latest` and `all(60)`");
    refused(Kind::Crontab, quote!("@daily", missed = "all()"), "did you mean `all(60)`?");
    refused(Kind::Crontab, quote!("@daily", missed = "all(60"), "did you mean `all(60)`?");
    refused(Kind::Crontab, quote!("@daily", missed = all(0)), "must be at least 1");
    refused(Kind::Crontab, quote!("@daily", missed = "all(1001)"), "must be at most 1000");
    refused(Kind::Crontab, quote!("@daily", missed = latest), "expected a text in quotes");
}

#[test]
fn a_crontab_says_first_when_it_runs() {
    refused(Kind::Crontab, quote!(), "say first when it runs");
    refused(Kind::Crontab, quote!(on_leader), "say first when it runs");
    refused(Kind::Crontab, quote!(timezone = "UTC", "@daily"), "say first when it runs");
    refused(Kind::Crontab, quote!(SPEC, on_leader), "say first when it runs");
    refused(Kind::Crontab, quote!(5), "expected a text in quotes");
    refused(Kind::Crontab, quote!("@daily", "UTC"), "an option begins with its name");
}

#[test]
fn a_crontab_that_is_none_or_never_comes_is_refused() {
    refused(Kind::Crontab, quote!("45 17 * *"), "is no crontab");
    refused(Kind::Crontab, quote!("61 * * * *"), "is no crontab");
    refused(Kind::Crontab, quote!("0 0 30 2 *"), "never fires");
    refused(Kind::Crontab, quote!("@daily", timezone = "Europe/Lodnon"), "did you mean `Europe/London`?");
}

#[test]
fn a_timer_says_how_often_it_runs() {
    refused(Kind::Timer, quote!(), "say how often it runs");
    refused(Kind::Timer, quote!(jitter = "1s"), "say how often it runs");
    refused(Kind::Timer, quote!("10s"), "options have names: write `interval = \"10s\"`");
    refused(Kind::Timer, quote!(interval = "10x"), "`10x` is not a duration");
    refused(Kind::Timer, quote!(interval = "999us"), "an interval is at least `1ms`");
    refused(Kind::Timer, quote!(interval = "1.5ms"), "in whole milliseconds");
    refused(Kind::Timer, quote!(interval = "0"), "an interval is at least `1ms`");
    refused(Kind::Timer, quote!(interval = "1s", jitter = "2s"), "must not be longer than `interval`");
}

#[test]
fn unknown_doubled_and_misplaced_options_are_refused_by_name() {
    refused(Kind::Task, quote!(onleader), "unknown option `onleader`: did you mean `on_leader`?");
    refused(Kind::Timer, quote!(interval = "1s", colour = 5), "there are `interval`, `jitter`, `overlap`, `name`");
    refused(Kind::Timer, quote!(interval = "1s", interval = "2s"), "`interval` is given twice");
    refused(Kind::Timer, quote!(interval = "1s", timezone = "UTC"), "`timezone` is for crontabs");
    refused(Kind::Task, quote!(interval = "1s"), "`interval` is for timers");
    refused(Kind::Crontab, quote!("@daily", overlap = "skip"), "`overlap` is for timers");
}

#[test]
fn an_option_in_another_form_is_answered_with_its_own() {
    refused(Kind::Task, quote!(on_leader = true), "`on_leader` takes no value");
    refused(Kind::Task, quote!(timeout), "`timeout` is written `timeout = \"30s\"`");
    refused(Kind::Crontab, quote!("@daily", missed(all(60))), "`missed` is written `missed = \"latest\"`");
    refused(Kind::Timer, quote!(interval = 10), "expected a duration in quotes: `interval = \"10s\"`");
}

#[test]
fn values_that_cannot_work_are_refused() {
    refused(Kind::Task, quote!(name = ""), "a task needs a name that is not empty");
    refused(Kind::Task, quote!(timeout = "0"), "would fail every run");
    refused(Kind::Task, quote!(exception_policy = "stop"), "there are `halt`, `quarantine` and `ignore`");
    refused(Kind::Timer, quote!(interval = "1s", overlap = "que"), "did you mean `queue`?");
    refused(Kind::Crontab, quote!("@daily", max_lateness = "0s"), "would let no instant run");
    refused(Kind::Crontab, quote!("@daily", delivery = "at_last_once", on_leader), "did you mean `at_least_once`?");
    refused(Kind::Crontab, quote!("@daily", delivery = "at_least_once"), "give `on_leader` as well");
}
