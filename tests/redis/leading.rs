//! The fleet on a real server: what its keys hold, and what becomes of them in foreign hands.

use redis::Value;
use runnel::broker::{Broker, BrokerError, Claim, ClaimKind, Claimed, JobEntry, JobStop, Term};

use crate::world::{TTL, World, code};

fn claim(instant: u64) -> Claim {
    Claim { worker: "ann".into(), term: Term(1), job: "tidy".into(), instant, kind: ClaimKind::Open }
}

/// `ann` leads in term 1, and has claimed the instant 5 of `tidy`.
async fn led() -> World {
    let world = World::new().await;
    world.broker.enroll("ann", TTL, "1").await.unwrap();
    world.broker.bid("ann", TTL).await.unwrap();
    assert_eq!(world.broker.claim(&claim(5)).await.unwrap(), Claimed::Ours { again: false });
    world
}

fn all(world: &World, key: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = world.does(&format!("HGETALL {key}"));
    fields.sort_unstable();
    fields
}

#[tokio::test]
async fn what_the_fleet_agreed_on_never_expires() {
    let world = led().await;

    for key in ["LIVE", "LEAD", "CRON"] {
        assert_eq!(world.does::<i64>(&format!("PTTL {key}")), -1, "{key}");
    }
}

#[tokio::test]
async fn the_book_of_jobs_has_the_fields_that_other_versions_will_read() {
    let world = led().await;
    world.broker.stop_job("tidy", Some(&JobStop { error: "e".into(), since: 7 })).await.unwrap();

    let text = |pairs: &[(&str, &str)]| -> Vec<_> { pairs.iter().map(|(f, v)| ((*f).into(), (*v).into())).collect() };
    let mut expected = text(&[("by:tidy", "1 open"), ("fired:tidy", "5"), ("last:tidy", "5"), ("open:tidy:5", "1")]);
    expected.extend(text(&[("stop:tidy", r#"{"error":"e","since":7}"#)]));
    assert_eq!(all(&world, "CRON"), expected);

    let _: Value = world.does("HSET LEAD until 0");
    world.broker.bid("ann", TTL).await.unwrap();
    world.broker.claim(&Claim { term: Term(2), ..claim(5) }).await.unwrap();
    assert_eq!(world.does::<String>("HGET CRON open:tidy:5"), "2 again");
}

#[tokio::test]
async fn broken_fields_of_the_lead_are_named_and_nobody_leads_by_them() {
    for (broken, field) in [
        ("HSET LEAD term abc", "term"),
        ("HSET LEAD term 99999999999999999999", "term"),
        ("HSET LEAD term 007", "term"),
        ("HDEL LEAD term", "term"),
        ("HSET LEAD until soon", "until"),
        ("HSET LEAD until -1", "until"),
        ("HDEL LEAD until", "until"),
        ("HSET LEAD ttl 1.5", "ttl"),
        ("HSET LEAD gen many", "gen"),
    ] {
        let world = led().await;
        let broker = &world.broker;
        let _: Value = world.does(broken);
        let found = (all(&world, "LEAD"), all(&world, "CRON"));

        let refused: [Option<BrokerError>; 4] = [
            broker.bid("bob", TTL).await.err(),
            broker.enroll("bob", TTL, "2").await.err(),
            broker.resign("ann", Term(1)).await.err(),
            broker.claim(&claim(6)).await.err(),
        ];

        for error in refused.into_iter().map(|error| error.unwrap_or_else(|| panic!("{broken}"))) {
            assert_eq!(code(&error), "BADLEAD", "{broken}");
            assert!(
                error.to_string().contains(&format!("`{field}`")) && error.to_string().contains("__lead:"),
                "{error}"
            );
        }
        assert_eq!((all(&world, "LEAD"), all(&world, "CRON")), found, "{broken}: nothing was changed");
        assert_eq!(world.does::<u64>("HLEN LIVE"), 1, "{broken}");
    }
}

#[tokio::test]
async fn who_asks_who_leads_is_told_what_cannot_be_read() {
    for broken in ["HSET LEAD until soon", "HDEL LEAD term", "HSET LEAD gen many", "HSET LEAD ttl x"] {
        let world = led().await;
        let _: Value = world.does(broken);
        let field = broken.split(' ').nth(2).unwrap();

        let error = world.broker.leader().await.unwrap_err();

        assert!(matches!(error, BrokerError::Unexpected { .. }), "{error}");
        assert!(error.to_string().contains(field) && error.to_string().contains("__lead:"), "{error}");
    }
}

#[tokio::test]
async fn a_lead_without_a_time_to_live_lasts_as_long_as_it_says() {
    let world = led().await;
    let _: Value = world.does("HDEL LEAD ttl");

    assert_eq!(world.broker.leader().await.unwrap().unwrap().term, Term(1));
    assert_eq!(world.broker.claim(&claim(6)).await.unwrap(), Claimed::Ours { again: false });
}

#[tokio::test]
async fn broken_fields_of_a_job_are_named_and_hold_no_other_job_up() {
    for (field, value) in [
        ("last:tidy", "x"),
        ("last:tidy", "-5"),
        ("last:tidy", "999999999999999999999"),
        ("open:tidy:5", "x"),
        ("open:tidy:5", "1,again"),
    ] {
        let world = led().await;
        let _: Value = world.does(&format!("HSET CRON {field} {value}"));
        let found = all(&world, "CRON");

        let error = world.broker.claim(&claim(5)).await.unwrap_err();

        assert_eq!(code(&error), "BADJOBS", "{field} {value}");
        assert!(error.to_string().contains(field) && error.to_string().contains("__cron:"), "{error}");
        assert_eq!(all(&world, "CRON"), found);
        let other = Claim { job: "report".into(), ..claim(5) };
        assert_eq!(world.broker.claim(&other).await.unwrap(), Claimed::Ours { again: false });
    }
}

#[tokio::test]
async fn a_broken_open_claim_cannot_be_closed() {
    let world = led().await;
    let _: Value = world.does("HSET CRON open:tidy:5 x");

    assert!(!world.broker.close(&claim(5)).await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_read_among_the_jobs_is_passed_over() {
    let world = World::new().await;
    for (field, value) in [
        ("last:a", "1"),
        ("fired:a", "x"),
        ("open:a:x", "1"),
        ("open:a:3", "x"),
        ("open:a:4", "1,again"),
        ("open:a", "1"),
        ("stop:a", "{"),
        ("last:b", "many"),
        ("last:b:c", "1"),
        ("open:b:c:1", "1"),
        ("last:", "1"),
        ("by:d", "1"),
        ("last", "1"),
        ("what:e", "1"),
    ] {
        let _: Value = world.does(&format!("HSET CRON {field} {value}"));
    }

    let a = JobEntry { name: "a".into(), last: Some(1), ..JobEntry::default() };
    assert_eq!(world.broker.jobs().await.unwrap(), [a]);
}

#[tokio::test]
async fn keys_of_a_wrong_type_are_named_and_nothing_is_half_done() {
    let world = World::new().await;
    let broker = &world.broker;
    let wrong = |error: BrokerError, key: &str| {
        assert!(code(&error) == "WRONGTYPE" && error.to_string().contains(key), "{error}");
    };

    let _: Value = world.does("SET CRON x");
    broker.bid("ann", TTL).await.unwrap();
    wrong(broker.claim(&claim(5)).await.unwrap_err(), "__cron:");
    wrong(broker.close(&claim(5)).await.unwrap_err(), "__cron:");
    wrong(broker.jobs().await.unwrap_err(), "__cron:");
    wrong(broker.stop_job("tidy", None).await.unwrap_err(), "__cron:");

    let _: Value = world.does("SET LIVE x");
    wrong(broker.enroll("ann", TTL, "1").await.unwrap_err(), "__live:");
    assert!(!world.does::<bool>("HEXISTS LEAD gen"));

    let _: Value = world.does("SET LEAD x");
    let _: Value = world.does("DEL LIVE");
    wrong(broker.bid("ann", TTL).await.unwrap_err(), "__lead:");
    wrong(broker.resign("ann", Term(1)).await.unwrap_err(), "__lead:");
    wrong(broker.leader().await.unwrap_err(), "__lead:");
    wrong(broker.claim(&claim(5)).await.unwrap_err(), "__lead:");
    wrong(broker.enroll("ann", TTL, "1").await.unwrap_err(), "__lead:");
    assert_eq!(world.does::<u64>("EXISTS LIVE"), 0);
}
