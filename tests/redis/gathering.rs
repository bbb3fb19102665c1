//! Rosters: who is alive, what the plan is, and the bell.

use std::time::Duration;

use redis::Value;
use runnel::broker::{Broker, Roll, Source, Standing, Stop, StopKind, Swapped};
use runnel::{EventId, Partition};

use crate::support::{eventually, in_time};
use crate::world::{TTL, World, code, id};

async fn beat(world: &World, member: &str, known: Option<u64>) -> Roll {
    world.broker.beat(&world.place.group, member, TTL, known).await.unwrap()
}

fn names(roll: &Roll) -> Vec<&str> {
    roll.members.iter().map(|member| member.name.as_str()).collect()
}

async fn bells(world: &World) -> u64 {
    world.does("XLEN C")
}

#[tokio::test]
async fn a_member_learns_who_else_is_there() {
    let world = World::new().await;

    let first = beat(&world, "b", None).await;
    let second = beat(&world, "a", None).await;
    let again = beat(&world, "b", None).await;

    assert_eq!((names(&first), names(&second)), (vec!["b"], vec!["a", "b"]));
    assert_eq!((first.since, again.since), (first.now, first.now), "joining is the first beat");
    assert_eq!(again.members[1].since, first.since);
    assert_eq!(again.members[1].dead_after, again.now + TTL.as_millis() as u64);
    assert_eq!((first.generation, first.plan.as_deref()), (0, Some("")));
}

#[tokio::test]
async fn a_plan_is_only_told_to_members_that_do_not_know_it() {
    let world = World::new().await;
    let group = &world.place.group;

    let installed = world.broker.swap(group, 0, "a: 0-15", &[], "join").await.unwrap();

    assert_eq!(installed, Swapped::Installed(1));
    assert_eq!(beat(&world, "a", Some(0)).await.plan.as_deref(), Some("a: 0-15"));
    let knows = beat(&world, "a", Some(1)).await;
    assert_eq!((knows.generation, knows.plan), (1, None));
}

#[tokio::test]
async fn only_one_of_two_plans_made_from_the_same_one_is_installed() {
    let world = World::new().await;
    let group = &world.place.group;
    world.broker.swap(group, 0, "first", &[], "join").await.unwrap();

    let second = world.broker.swap(group, 0, "second", &["a".into()], "join").await.unwrap();

    assert_eq!(second, Swapped::Outrun { generation: 1, plan: "first".into() });
    assert_eq!(bells(&world).await, 1);
}

#[tokio::test]
async fn the_dead_stay_on_the_roster_until_a_plan_without_them_is_installed() {
    let world = World::new().await;
    let group = &world.place.group;
    world.broker.beat(group, "dead", Duration::from_millis(1), None).await.unwrap();
    beat(&world, "alive", None).await;
    eventually("`dead` is so", async || {
        let roll = beat(&world, "alive", None).await;
        roll.members.iter().any(|member| member.name == "dead" && member.dead_after < roll.now)
    })
    .await;

    world.broker.swap(group, 0, "plan", &["dead".into(), "alive".into()], "lapse").await.unwrap();

    assert_eq!(names(&beat(&world, "other", None).await), ["alive", "other"], "who beat meanwhile is not removed");
    let back = world.broker.beat(group, "dead", TTL, None).await.unwrap();
    assert_eq!(back.since, back.now, "who was removed joins anew");
}

#[tokio::test]
async fn nobody_is_alive_for_longer_than_its_time_when_the_servers_clock_goes_back() {
    let world = World::new().await;
    beat(&world, "a", None).await;
    let _: Value = world.does("ZADD B 99999999999999 a");

    let roll = beat(&world, "b", None).await;

    assert!(roll.members.iter().all(|member| member.dead_after <= roll.now + TTL.as_millis() as u64), "{roll:?}");
}

#[tokio::test]
async fn who_leaves_is_gone_at_once_and_the_bell_rings() {
    let world = World::new().await;
    let group = &world.place.group;
    beat(&world, "a", None).await;
    beat(&world, "b", None).await;

    world.broker.leave(group, "a").await.unwrap();

    assert_eq!(names(&beat(&world, "b", None).await), ["b"]);
    assert_eq!(bells(&world).await, 1);
}

#[tokio::test]
async fn the_bell_carries_the_generation() {
    let world = World::new().await;
    let group = &world.place.group;
    let bell = Source::Bell(group.clone());

    let hears = in_time(world.broker.read(&bell, EventId::ZERO, 10, false));
    let (heard, _) = tokio::join!(hears, world.broker.swap(group, 0, "plan", &[], "join"));

    assert_eq!(heard.unwrap()[0].fields.get("gen"), Some(&b"1"[..]));
}

#[tokio::test]
async fn stopped_places_are_told_to_everybody_until_they_run_again() {
    let world = World::new().await;
    let group = &world.place.group;
    let stop = |n, since| Stop { kind: StopKind::Halted, at: id(n), error: "no paper, \"no ink\"\n".into(), since };
    world.broker.note_stopped(group, Partition(7), Some(&stop(3, 42))).await.unwrap();
    world.broker.note_stopped(group, Partition(2), Some(&stop(4, 0))).await.unwrap();

    let told = beat(&world, "a", None).await;
    world.broker.note_stopped(group, Partition(7), None).await.unwrap();
    let later = beat(&world, "a", None).await;

    assert_eq!(told.stopped[1], (Partition(7), stop(3, 42)));
    let since = told.stopped[0].1.since;
    assert!(since > 0 && since <= told.now, "the server's time is filled in");
    assert_eq!(later.stopped, [(Partition(2), stop(4, since))]);
    assert_eq!(bells(&world).await, 3);
}

#[tokio::test]
async fn what_foreign_hands_wrote_into_a_roster_is_passed_over() {
    let world = World::new().await;
    let _: Value = world.does("HSET M s:1 nonsense s:x y m:ghost never other 1");
    let _: Value = world.does("ZADD B -5 stranger");

    let roll = beat(&world, "a", None).await;

    assert_eq!((names(&roll), roll.stopped.len()), (vec!["a", "stranger"], 0));
}

#[tokio::test]
async fn rosters_of_a_wrong_type_are_named_and_nothing_is_half_done() {
    for (key, kind) in [("M", "__memb:"), ("B", "__beat:"), ("C", "__ctrl:")] {
        let world = World::new().await;
        let group = &world.place.group;
        let _: Value = world.does(&format!("SET {key} x"));

        let error = world.broker.swap(group, 0, "plan", &["a".into()], "join").await.unwrap_err();

        assert!(code(&error) == "WRONGTYPE" && error.to_string().contains(kind), "{error}");
        assert!(world.broker.leave(group, "a").await.is_err());
        assert_eq!(world.does::<u64>("EXISTS M B C"), 1);
    }
    let world = World::new().await;
    let _: Value = world.does("HSET M gen many");
    assert_eq!(code(&world.broker.swap(&world.place.group, 0, "plan", &[], "join").await.unwrap_err()), "BADPLAN");
}

#[tokio::test]
async fn workers_are_listed_while_they_are_alive() {
    let world = World::new().await;
    let now = world.broker.announce("b", Standing::Member, TTL, r#"{"pid":1}"#).await.unwrap();
    world.broker.announce("a", Standing::Member, TTL, "{}").await.unwrap();
    world.broker.announce("gone", Standing::Member, TTL, "{}").await.unwrap();
    world.broker.announce("dead", Standing::Member, Duration::from_millis(1), "{}").await.unwrap();
    world.broker.depart("gone").await.unwrap();

    eventually("`dead` is not listed", async || world.broker.workers().await.unwrap().len() == 2).await;

    let workers = world.broker.workers().await.unwrap();
    assert_eq!((workers[0].name.as_str(), workers[1].name.as_str()), ("a", "b"));
    assert_eq!((workers[1].about.as_str(), workers[1].dead_after), (r#"{"pid":1}"#, now + TTL.as_millis() as u64));
}
