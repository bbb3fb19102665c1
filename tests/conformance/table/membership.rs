//! Rosters, plans, bells and workers.

use std::time::Duration;

use runnel::broker::{Source, Standing, Stop, StopKind, Swapped};
use runnel::event::{EventId, Partition};

use super::on_every_store;
use crate::case::{Case, SOON, TTL, TTL_MS, id};

/// So short that whoever beat with it is dead before anybody asks.
const NO_TIME: Duration = Duration::from_millis(1);

/// The generations that the bell has rung.
async fn rung(case: &Case) -> Vec<String> {
    let entries = case.read(&Source::Bell(case.group.clone()), EventId::ZERO, 100, false).await.unwrap();
    let generation = |fields: &runnel::event::Fields| String::from_utf8(fields.get("gen").unwrap().to_vec()).unwrap();
    entries.iter().map(|entry| generation(&entry.fields)).collect()
}

/// Waits until a member that beat with [`NO_TIME`] is dead.
async fn until_dead(case: &Case, member: &str) {
    crate::support::eventually("the member is dead", async || {
        let roll = case.beat(&case.group, "watcher", TTL, None).await.unwrap();
        roll.members.iter().find(|entry| entry.name == member).is_none_or(|entry| entry.dead_after < roll.now)
    })
    .await;
}

async fn names_of(case: &Case) -> Vec<String> {
    case.workers().await.unwrap().into_iter().map(|worker| worker.name).collect()
}

on_every_store! {
    async fn a_beat_tells_who_else_is_there(kind: Kind) {
        let case = Case::empty(kind).await;
        let first = case.beat(&case.group, "bob", TTL, None).await.unwrap();
        case.beat(&case.group, "ann", NO_TIME, None).await.unwrap();
        until_dead(&case, "ann").await;

        let roll = case.beat(&case.group, "bob", TTL, None).await.unwrap();

        assert_eq!((roll.since, roll.since == first.now), (first.since, true), "since the first beat");
        assert!(roll.now >= first.now);
        let names: Vec<_> = roll.members.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["ann", "bob", "watcher"], "the dead included, by name");
        assert_eq!((roll.members[1].since, roll.members[1].dead_after), (first.since, roll.now + TTL.as_millis() as u64));
        assert!(roll.members[0].dead_after < roll.now);
    }

    async fn rosters_are_of_one_processor(kind: Kind) {
        let case = Case::empty(kind).await;
        case.beat(&case.group, "bob", TTL, None).await.unwrap();

        let roll = case.beat(&case.place_of("reports").group, "ann", TTL, None).await.unwrap();

        assert_eq!(roll.members.len(), 1);
    }

    async fn a_plan_is_told_to_who_does_not_know_it(kind: Kind) {
        let case = Case::empty(kind).await;
        let plan = async |known| {
            let roll = case.beat(&case.group, "bob", TTL, known).await.unwrap();
            (roll.generation, roll.plan)
        };
        assert_eq!(plan(None).await, (0, Some(String::new())));
        assert_eq!(plan(Some(0)).await, (0, None));

        case.swap(&case.group, 0, "a plan", &[], "joined").await.unwrap();

        assert_eq!(plan(None).await, (1, Some("a plan".into())));
        assert_eq!(plan(Some(0)).await, (1, Some("a plan".into())));
        assert_eq!(plan(Some(1)).await, (1, None));
    }

    async fn a_plan_is_installed_only_over_the_one_it_was_made_from(kind: Kind) {
        let case = Case::empty(kind).await;

        assert_eq!(case.swap(&case.group, 0, "first", &[], "").await.unwrap(), Swapped::Installed(1));
        let outrun = Swapped::Outrun { generation: 1, plan: "first".into() };
        assert_eq!(case.swap(&case.group, 0, "second", &[], "").await.unwrap(), outrun);
        assert_eq!(case.swap(&case.group, 7, "second", &[], "").await.unwrap(), outrun);
        assert_eq!(case.swap(&case.group, 1, "second", &[], "").await.unwrap(), Swapped::Installed(2));
        assert_eq!(rung(&case).await, ["1", "2"]);
    }

    async fn only_the_dead_are_reaped_and_only_with_a_plan(kind: Kind) {
        let case = Case::empty(kind).await;
        case.beat(&case.group, "dead", NO_TIME, None).await.unwrap();
        case.beat(&case.group, "alive", TTL, None).await.unwrap();
        until_dead(&case, "dead").await;
        let reap = ["dead".to_owned(), "alive".to_owned(), "stranger".to_owned()];
        let names = async || {
            let roll = case.beat(&case.group, "watcher", TTL, None).await.unwrap();
            roll.members.into_iter().map(|member| member.name).collect::<Vec<_>>()
        };

        case.swap(&case.group, 9, "", &reap, "").await.unwrap();
        assert_eq!(names().await, ["alive", "dead", "watcher"]);

        case.swap(&case.group, 0, "", &reap, "").await.unwrap();
        assert_eq!(names().await, ["alive", "watcher"]);
    }

    async fn who_leaves_is_gone_at_once(kind: Kind) {
        let case = Case::empty(kind).await;
        case.swap(&case.group, 0, "", &[], "").await.unwrap();
        case.beat(&case.group, "bob", TTL, None).await.unwrap();

        case.leave(&case.group, "bob").await.unwrap();
        case.leave(&case.group, "bob").await.unwrap();

        let roll = case.beat(&case.group, "ann", TTL, None).await.unwrap();
        assert_eq!(roll.members.len(), 1);
        assert_eq!(rung(&case).await, ["1", "1", "1"]);
    }

    async fn stopped_places_are_told_with_the_roster(kind: Kind) {
        let case = Case::empty(kind).await;
        let stop = |since, error: &str| Stop { kind: StopKind::Halted, at: id(5), error: error.into(), since };
        let stopped = async || case.beat(&case.group, "ann", TTL, None).await.unwrap().stopped;

        case.note_stopped(&case.group, Partition(11), Some(&stop(77, "no paper\nleft"))).await.unwrap();
        case.note_stopped(&case.group, Partition(2), Some(&stop(0, ""))).await.unwrap();

        let [(second, by_clock), (eleventh, as_told)] = &stopped().await[..] else { panic!("{:?}", stopped().await) };
        assert_eq!((second.0, eleventh.0, as_told), (2, 11, &stop(77, "no paper\nleft")));
        assert!(by_clock.since > 77, "{by_clock:?}");

        case.note_stopped(&case.group, Partition(11), None).await.unwrap();
        case.note_stopped(&case.group, Partition(12), None).await.unwrap();
        assert_eq!(stopped().await.len(), 1);
        assert_eq!(rung(&case).await.len(), 4);
    }

    async fn workers_are_listed_while_they_are_alive(kind: Kind) {
        let case = Case::empty(kind).await;
        let names = async || {
            case.workers().await.unwrap().into_iter().map(|worker| (worker.name, worker.about)).collect::<Vec<_>>()
        };
        let now = case.announce("bob", Standing::Member, TTL, "{}").await.unwrap();
        assert!(now > 0);
        case.announce("ann", Standing::Member, TTL, "{\"a\":1}").await.unwrap();
        case.announce("bob", Standing::Member, TTL, "{\"b\":2}").await.unwrap();

        let [ann, bob] = [("ann", "{\"a\":1}"), ("bob", "{\"b\":2}")].map(|(name, about)| (name.to_owned(), about.to_owned()));
        assert_eq!(names().await, [ann.clone(), bob]);

        case.depart("bob").await.unwrap();
        case.depart("bob").await.unwrap();
        assert_eq!(names().await, [ann]);
    }

    async fn a_clock_that_went_back_keeps_no_dead_worker_alive(kind: Kind) {
        let case = Case::empty(kind).await;
        case.announce("dead", Standing::Member, SOON, "{}").await.unwrap();
        case.hands().turn_clock_back(TTL_MS);

        crate::support::eventually("the dead one is not listed any more", async || {
            case.announce("alive", Standing::Member, TTL, "{}").await.unwrap();
            names_of(&case).await == ["alive"]
        })
        .await;
    }

    async fn a_clock_that_went_back_leaves_who_is_alive_the_whole_of_its_time(kind: Kind) {
        let case = Case::empty(kind).await;
        case.announce("slow", Standing::Member, TTL, "{}").await.unwrap();
        case.hands().turn_clock_back(3 * TTL_MS);

        // Others announce themselves more often, and for a shorter time.
        let now = case.announce("quick", Standing::Member, NO_TIME, "{}").await.unwrap();

        let workers = case.workers().await.unwrap();
        let slow = workers.iter().find(|worker| worker.name == "slow").expect("it is alive");
        assert_eq!(slow.dead_after, now + TTL.as_millis() as u64);
    }

    async fn no_worker_is_told_to_live_longer_than_its_time(kind: Kind) {
        let case = Case::empty(kind).await;
        let now = case.announce("ann", Standing::Member, TTL, "{}").await.unwrap();
        case.hands().turn_clock_back(3 * TTL_MS);

        let [ann] = &case.workers().await.unwrap()[..] else { panic!("she is alive") };

        // On a server it is the times that were moved, and not the clock.
        assert!(ann.dead_after < now + 2 * TTL.as_millis() as u64, "{ann:?}");
    }

    async fn a_server_says_what_it_is(kind: Kind) {
        let case = Case::empty(kind).await;

        let facts = case.server().await.unwrap();

        assert_eq!(facts.product, format!("{:?}", case.kind()).to_lowercase());
        assert!(facts.is_primary && facts.now > 1_700_000_000_000, "{facts:?}");
        assert_eq!(facts.eviction, "noeviction");
    }
}
