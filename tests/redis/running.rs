//! Runs on a real server: what is kept of those that are over, and keys that are not what they should be.

use redis::Value;
use runnel::Partition;
use runnel::broker::{Begun, Broker, OpenRun, Standing};
use runnel::event::Fields;

use crate::world::World;

fn run(id: &str) -> OpenRun {
    OpenRun { run_id: id.into(), entry: r#"{"worker":"ann","activation":3}"#.into() }
}

fn event() -> Fields {
    Fields::from_pairs([("data", "{}")])
}

impl World {
    async fn begins(&self, id: &str) -> Result<Begun, runnel::broker::BrokerError> {
        self.broker.begin_run(&self.place.group.stream, Partition(0), &run(id), &event(), 100).await
    }

    async fn ends(&self, id: &str) -> Result<bool, runnel::broker::BrokerError> {
        self.broker.end_run(&self.place.group.stream, Partition(0), &run(id), &event()).await
    }
}

#[tokio::test]
async fn what_is_over_is_kept_as_run_and_activation_or_by_its_entry() {
    let world = World::new().await;
    world.begins("r-1").await.unwrap();
    world.ends("r-1").await.unwrap();
    world.ends("r-2").await.unwrap();

    let kept: Vec<String> = world.does("ZRANGE OVER 0 -1");

    assert_eq!(kept[0], "r-1 3");
    assert!(kept[1].starts_with("r-2 ") && kept[1].len() == "r-2 ".len() + 40, "{kept:?}");
    assert_eq!(world.does::<i64>("PTTL OVER"), -1);
}

#[tokio::test]
async fn no_more_is_kept_than_a_partition_of_the_log_may_hold() {
    let world = World::new().await;
    let full = "for i=1,50010 do redis.call('ZADD',KEYS[1],redis.call('TIME')[1]*1000,'r-'..i..string.rep('x',36)) end";
    world.evals(full, "OVER");

    for _ in 0..2 {
        world.ends("r-0").await.unwrap();
    }

    assert_eq!(world.does::<u64>("ZCARD OVER"), 50_000);
    let bytes: u64 = world.does("MEMORY USAGE OVER SAMPLES 0");
    assert!(bytes < 50_000 * 200, "{bytes} bytes");
}

#[tokio::test]
async fn keys_of_a_wrong_type_are_named_and_nothing_is_half_done() {
    for (key, kind) in [("OPEN", "__open:"), ("OVER", "__over:"), ("P", "__strm:")] {
        let world = World::new().await;
        let _: Value = world.does(&format!("SET {key} x"));

        for error in [world.begins("r-1").await.unwrap_err(), world.ends("r-1").await.unwrap_err()] {
            assert!(error.to_string().contains("WRONGTYPE") && error.to_string().contains(kind), "{error}");
        }
        assert_eq!(world.does::<u64>("EXISTS OPEN OVER P"), 1);
    }
}

#[tokio::test]
async fn a_worker_that_a_foreign_hand_wrote_is_nobody() {
    let world = World::new().await;
    let _: Value = world.does("HSET LIVE ghost soon other 1 third 99999999999999999999999");

    assert_eq!(world.broker.workers().await.unwrap(), []);
    world.broker.announce("ann", Standing::Member, crate::world::TTL, "{}").await.unwrap();
    assert_eq!(world.does::<Vec<String>>("HKEYS LIVE"), ["ann"]);
}
