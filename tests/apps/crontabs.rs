//! Crontabs: calendar instants by the server's clock, each once for the fleet, through dying leaders and clock changes.

use runnel::broker::memory::{Fault, Faults, Operation, Step};
use runnel::prelude::*;
use runnel::runs::{Cut, Ended};
use runnel::testing::{Moment, TestApp, takes};
use runnel::{Delivery, Missed};

use crate::shop::{MS, SECOND, instants, started, three_workers};

/// Jobs of the leader in London: by real time and by the time of day, each at most once and at least once.
fn london() -> App {
    let mut app = App::bare("shop");
    for (name, spec) in [("ten", "*/10 * * * *"), ("half_past", "30 1 * * *")] {
        for (how, delivery) in [("most", Delivery::AtMostOnce), ("least", Delivery::AtLeastOnce)] {
            app.crontab(spec, async || takes(5 * SECOND).await)
                .name(format!("{name}_{how}"))
                .timezone("Europe/London")
                .on_leader()
                .missed(Missed::Latest)
                .delivery(delivery);
        }
    }
    app
}

/// From 23:55 to 03:05 UTC, with the leader killed so long after the instant `kill_at`.
async fn night(day: &str, next: &str, kill_at: &str, after: Duration) -> TestApp {
    let mut shop = three_workers(&format!("{day}T23:55:00Z"), london()).await;
    shop.advance_to(&format!("{next}T{kill_at}Z")).await;
    shop.advance(after).await;
    let leader = shop.leader().await.unwrap();
    shop.crash(&leader);
    shop.advance_to(&format!("{next}T03:05:00Z")).await;
    shop
}

/// Of a run of five seconds.
const IN_THE_MIDDLE: Duration = Duration::from_secs(2);

fn every_ten_minutes() -> Vec<String> {
    (0..=18).map(|n| format!("{:02}:{:02}:00", n / 6, n % 6 * 10)).collect()
}

/// The list with one of its times twice.
fn with_again(times: &[&str], again: &str) -> Vec<String> {
    let times = times.iter().flat_map(|time| std::iter::repeat_n(*time, if *time == again { 2 } else { 1 }));
    times.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn when_clocks_go_forward_each_instant_fires_as_configured_although_its_leader_dies() {
    // 01:30 does not exist in London on this day: the clock goes from 01:00 to 02:00, at 01:00 UTC.
    let shop = night("2026-03-28", "2026-03-29", "01:00:00", IN_THE_MIDDLE).await;

    let ten = every_ten_minutes();
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    assert_eq!(instants(&shop, "ten_most"), ten);
    assert_eq!(instants(&shop, "ten_least"), with_again(&ten, "01:00:00"));
    assert_eq!(instants(&shop, "half_past_most"), ["01:00:00"]);
    assert_eq!(instants(&shop, "half_past_least"), ["01:00:00", "01:00:00"]);
    assert_eq!(shop.fired("half_past_least")[1].outcome, Some(Ended::Success));
}

#[tokio::test(start_paused = true)]
async fn when_clocks_go_back_each_instant_fires_as_configured_although_its_leader_dies() {
    // 01:30 comes twice in London on this day: at 00:30 and at 01:30 UTC.
    let shop = night("2026-10-24", "2026-10-25", "00:30:00", IN_THE_MIDDLE).await;

    let ten = every_ten_minutes();
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    assert_eq!(instants(&shop, "ten_most"), ten);
    assert_eq!(instants(&shop, "ten_least"), with_again(&ten, "00:30:00"));
    assert_eq!(instants(&shop, "half_past_most"), ["00:30:00"]);
    assert_eq!(instants(&shop, "half_past_least"), ["00:30:00", "00:30:00"]);
}

/// What is asked and answered takes a millisecond: the leader dies before it claims, while it does, and when it runs.
#[tokio::test(start_paused = true)]
async fn when_clocks_change_and_the_leader_dies_at_that_instant_nothing_runs_twice_or_is_forgotten() {
    for (begin, kill_at, end) in [
        ("2026-03-29T00:55:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"),
        ("2026-10-25T00:25:00Z", "2026-10-25T00:30:00Z", "2026-10-25T00:45:00Z"),
    ] {
        for after in 0..6 {
            let mut shop = three_workers(begin, london()).await;
            for worker in shop.workers() {
                worker.link().set_faults(Faults { delay: MS / 2..=MS / 2, ..Faults::default() });
            }
            shop.advance_to(kill_at).await;
            shop.advance(MS / 2 * after).await;
            let leader = shop.leader().await.unwrap();
            shop.crash(&leader);
            shop.advance_to(end).await;

            let kill_at = &kill_at[11..19];
            let ten = every_ten_minutes().into_iter().filter(|at| (&begin[11..19]..&end[11..19]).contains(&&**at));
            for (job, expected) in [("ten", ten.collect()), ("half_past", vec![kill_at.to_owned()])] {
                let most = instants(&shop, &format!("{job}_most"));
                let missing: Vec<_> = expected.iter().filter(|instant| !most.contains(instant)).collect();
                assert!(missing.iter().all(|instant| *instant == kill_at), "{after}: {missing:?} never ran");
                assert_eq!(most.len() + missing.len(), expected.len(), "{after}: {most:?}");
                let mut least = instants(&shop, &format!("{job}_least"));
                assert!(least.len() <= expected.len() + 1, "{after}: {least:?}");
                least.dedup();
                assert_eq!(least, expected, "{after}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instant_is_claimed_before_it_runs_and_closed_after() {
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || takes(SECOND).await).name("minutely").on_leader().delivery(Delivery::AtLeastOnce);
    let shop = TestApp::at("2026-01-01T00:00:30Z", app).await;
    shop.advance_to("2026-01-01T00:01:30Z").await;

    let story: Vec<&str> = shop
        .timeline()
        .iter()
        .filter_map(|moment| match moment {
            Moment::Step(Step::Claimed { instant, .. }) if instant % 60_000 == 0 => Some("claimed"),
            Moment::Step(Step::Closed { .. }) => Some("closed"),
            Moment::Fired(fired) if fired.outcome.is_none() => Some("started"),
            Moment::Fired(_) => Some("ended"),
            _ => None,
        })
        .collect();
    assert_eq!(story, ["claimed", "started", "ended", "closed"]);
}

/// A minutely crontab of the leader that slept from 12:00:30 to 12:10:30.
async fn after_ten_minutes_of_nobody(missed: Missed, wakes: &str) -> Vec<String> {
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || ()).name("minutely").on_leader().missed(missed);
    let mut shop = TestApp::at("2026-01-01T11:59:30Z", app).await;
    shop.advance_to("2026-01-01T12:00:30Z").await;
    shop.drain().await;
    shop.advance_to(wakes).await;
    let before = shop.fired("minutely").len();
    shop.add_worker("worker-2").await;
    shop.advance(10 * SECOND).await;
    instants(&shop, "minutely").split_off(before)
}

#[tokio::test(start_paused = true)]
async fn missed_instants_are_skipped_or_caught_up_with() {
    let wakes = "2026-01-01T12:10:30Z";
    assert_eq!(after_ten_minutes_of_nobody(Missed::Skip, wakes).await, ["12:10:00"], "half a minute is not too late");
    assert_eq!(after_ten_minutes_of_nobody(Missed::Latest, wakes).await, ["12:10:00"]);
    assert_eq!(after_ten_minutes_of_nobody(Missed::All(3), wakes).await, ["12:08:00", "12:09:00", "12:10:00"]);
}

#[tokio::test(start_paused = true)]
async fn an_instant_that_is_too_late_is_not_run() {
    let mut app = App::bare("shop");
    app.crontab("0 12 * * *", async || ()).name("noon").on_leader();
    app.crontab("0 12 * * *", async || ()).name("late").on_leader().missed(Missed::Latest).max_lateness(90 * SECOND);
    app.crontab("0 12 * * *", async || ()).name("never_late").on_leader().missed(Missed::Latest);
    let mut shop = TestApp::at("2026-01-01T11:59:30Z", app).await;
    shop.advance(10 * SECOND).await;
    shop.drain().await;
    shop.advance_to("2026-01-01T12:01:20Z").await;
    shop.add_worker("worker-2").await;
    shop.advance(10 * SECOND).await;

    assert_eq!(instants(&shop, "noon"), [""; 0], "80 s are more than the 60 that are usual");
    assert_eq!(instants(&shop, "late"), ["12:00:00"]);
    assert_eq!(instants(&shop, "never_late"), ["12:00:00"]);
}

#[tokio::test(start_paused = true)]
async fn an_instant_that_becomes_too_late_behind_slow_runs_of_earlier_ones_is_not_run() {
    let most = Duration::from_secs(600);
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || takes(Duration::from_secs(480)).await)
        .name("slow")
        .missed(Missed::All(10))
        .max_lateness(most);
    let shop = TestApp::at("2026-01-01T11:59:30Z", app).await;
    shop.advance_to("2026-01-01T13:30:00Z").await;

    let late: Vec<_> = shop.fired("slow").iter().map(|run| run.started - run.instant.unwrap()).collect();
    assert!(late.len() > 8 && late.iter().all(|late| late.to_std().unwrap() <= most), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crontab_of_each_worker_fires_on_each() {
    let mut app = App::bare("shop").setting("timezone", "Asia/Kolkata");
    app.crontab("0 6 * * *", async || ()).name("morning");
    let shop = three_workers("2026-01-01T00:00:00Z", app).await;

    shop.advance_to("2026-01-01T01:00:00Z").await;

    assert_eq!(instants(&shop, "morning"), ["00:30:00"; 3], "6 in the morning in the zone of the settings");
    assert!(shop.fired("morning").iter().all(|run| run.term.is_none()));
}

#[tokio::test(start_paused = true)]
async fn runs_never_overlap_and_what_passed_meanwhile_counts_as_missed() {
    let mut app = App::bare("shop");
    app.crontab("* * * * * *", async || takes(3_500 * MS).await).name("slow");
    app.crontab("* * * * * *", async || takes(3_500 * MS).await).name("slow_all").missed(Missed::All(60));
    let shop = TestApp::at("2026-01-01T00:00:00Z", app).await;

    shop.advance_to("2026-01-01T00:00:11.800Z").await;

    assert_eq!(started(&shop, "slow"), ["00:00:01.000", "00:00:04.500", "00:00:08.000", "00:00:11.500"]);
    assert_eq!(instants(&shop, "slow"), ["00:00:01", "00:00:04", "00:00:08", "00:00:11"]);
    assert_eq!(instants(&shop, "slow_all"), ["00:00:01", "00:00:02", "00:00:03", "00:00:04"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_or_question_is_lost_is_made_once() {
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || ()).name("minutely").on_leader();
    let mut shop = TestApp::at("2026-01-01T00:00:30Z", app).await;
    shop.advance_to("2026-01-01T00:00:59Z").await;

    let link = shop.worker("worker-1").link();
    link.next_fault(Operation::Claim, Fault::LostReply);
    link.next_fault(Operation::Claim, Fault::LostRequest);
    shop.advance_to("2026-01-01T00:01:30Z").await;

    assert_eq!(instants(&shop, "minutely"), ["00:01:00"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_repeats_nothing_and_one_that_goes_forward_has_missed_what_lies_between() {
    let mut app = App::bare("shop");
    app.crontab("0 * * * *", async || ()).name("hourly").on_leader().missed(Missed::All(10));
    app.crontab("0 * * * *", async || ()).name("of_worker").missed(Missed::All(10));
    let shop = TestApp::at("2026-01-01T11:59:30Z", app).await;
    shop.advance_to("2026-01-01T12:00:30Z").await;

    shop.set_clock("2026-01-01T11:30:00Z");
    shop.advance_to("2026-01-01T12:30:00Z").await;
    assert_eq!([instants(&shop, "hourly"), instants(&shop, "of_worker")], [["12:00:00"], ["12:00:00"]]);

    shop.set_clock("2026-01-01T14:30:00Z");
    shop.advance(10 * SECOND).await;
    let all = ["12:00:00", "13:00:00", "14:00:00"];
    assert_eq!([instants(&shop, "hourly"), instants(&shop, "of_worker")], [all, all]);
}

#[tokio::test(start_paused = true)]
async fn a_crontab_that_is_paused_catches_up_when_it_is_resumed() {
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || ()).name("minutely").on_leader().missed(Missed::Latest);
    let shop = three_workers("2026-01-01T00:00:30Z", app).await;
    shop.advance_to("2026-01-01T00:01:30Z").await;
    shop.pause_job("minutely", true).await;
    shop.advance_to("2026-01-01T00:05:30Z").await;
    shop.pause_job("minutely", false).await;
    shop.advance_to("2026-01-01T00:06:30Z").await;

    assert_eq!(instants(&shop, "minutely"), ["00:01:00", "00:05:00", "00:06:00"]);
}

#[tokio::test(start_paused = true)]
async fn an_instant_that_failed_is_closed_and_one_that_the_drain_cut_short_is_run_again() {
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || Err::<(), _>(runnel::Error::from("no network")))
        .name("fails")
        .on_leader()
        .delivery(Delivery::AtLeastOnce);
    app.crontab("* * * * *", async || takes(20 * SECOND).await)
        .name("long")
        .on_leader()
        .delivery(Delivery::AtLeastOnce);
    let mut shop = TestApp::at("2026-01-01T00:00:30Z", app).await;
    shop.advance_to("2026-01-01T00:01:01Z").await;

    shop.drain().await;
    shop.add_worker("worker-2").await;
    shop.advance_to("2026-01-01T00:01:50Z").await;

    assert_eq!(instants(&shop, "fails"), ["00:01:00"]);
    let outcomes: Vec<_> = shop.fired("long").into_iter().map(|run| (run.attempt, run.outcome.unwrap())).collect();
    assert_eq!(outcomes, [(1, Ended::Terminated(Cut::Drained)), (2, Ended::Success)]);
}

#[tokio::test(start_paused = true)]
async fn a_crontab_in_quarantine_stops_for_the_fleet() {
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || Err::<(), _>(runnel::Error::from("no network")))
        .name("fails")
        .on_leader()
        .exception_policy(ExceptionPolicy::Quarantine);
    let mut shop = three_workers("2026-01-01T00:00:30Z", app).await;
    shop.advance_to("2026-01-01T00:03:30Z").await;
    let leader = shop.leader().await.unwrap();
    shop.crash(&leader);
    shop.advance_to("2026-01-01T00:06:30Z").await;

    assert_eq!(instants(&shop, "fails"), ["00:01:00"]);
}

#[tokio::test(start_paused = true)]
async fn an_instant_that_cannot_be_written_to_the_task_log_is_tried_again_where_it_must_run_at_least_once() {
    let mut app = App::bare("shop");
    app.crontab("* * * * *", async || ()).name("minutely").on_leader().delivery(Delivery::AtLeastOnce);
    let mut shop = TestApp::at("2026-01-01T00:00:30Z", app).await;
    shop.advance_to("2026-01-01T00:00:59.900Z").await;

    for _ in 0..6 {
        shop.worker("worker-1").link().next_fault(Operation::Run, Fault::Unavailable);
    }
    shop.advance_to("2026-01-01T00:01:30Z").await;

    assert_eq!(instants(&shop, "minutely"), ["00:01:00"]);
    let run = &shop.fired("minutely")[0];
    assert_eq!(run.outcome, Some(Ended::Success));
    assert!(run.started > run.instant.unwrap(), "it was refused at first: {run:?}");
}
