//! What a call costs the server. Run by name: `cargo test --release --test redis -- --ignored --nocapture measure`.

use std::io::Write;

use runnel::Partition;
use runnel::broker::{Acquired, Broker, Commit, Committed, Fence, FrontMark};

use crate::support::{Options, Server};
use crate::world::{World, facts, id};

/// Partitions, and commits of each in one measurement.
const PARTITIONS: u32 = 16;
const ROUNDS: u64 = 2000;

fn cpu_seconds(server: &Server) -> f64 {
    let info: redis::InfoDict = redis::cmd("INFO").arg("cpu").query(&mut server.raw()).unwrap();
    let of = |name: &str| info.get::<f64>(name).unwrap();
    of("used_cpu_user") + of("used_cpu_sys")
}

#[tokio::test]
#[ignore = "a measurement, not a check"]
async fn measure_commits() {
    let server = Server::start(Options::redis());
    for (name, front) in [("plain", FrontMark::Keep), ("with a front", FrontMark::Set { id: id(1 << 40), fails: 1 })] {
        let world = World::on(&server).await;
        let mut stream = facts("orders");
        stream.partitions = PARTITIONS;
        let stream = std::sync::Arc::new(stream);
        let mut commits = Vec::new();
        for n in 0..PARTITIONS {
            let mut wish = world.wish(&format!("owner-of-partition-{n}"));
            (wish.place.partition, wish.place.group.stream) = (Partition(n), stream.clone());
            let Acquired::Owned(owned) = world.broker.acquire(&wish).await.unwrap() else { panic!("it is free") };
            let (place, fence) = (wish.place, Fence { nonce: wish.nonce, epoch: owned.epoch });
            let (done, passed, entries_read) = (vec![], vec![], Some(0));
            let position = id(0);
            let (letters, letters_limit) = (vec![], 0);
            let seen = position;
            commits.push(Commit {
                place,
                fence,
                n: 0,
                position,
                entries_read,
                seen,
                front,
                done,
                passed,
                letters,
                letters_limit,
            });
        }
        let before = cpu_seconds(&server);
        for n in 1..=ROUNDS {
            for commit in &mut commits {
                (commit.n, commit.position, commit.seen, commit.entries_read) = (n, id(n), id(n), Some(n));
            }
            let answers = world.broker.commit(&commits).await;
            assert!(answers.iter().all(|answer| matches!(answer, Ok(Committed::Applied))));
        }
        let per_call = (cpu_seconds(&server) - before) * 1e6 / (ROUNDS as f64 * f64::from(PARTITIONS));
        writeln!(std::io::stdout(), "commit, {name}: {per_call:.2} µs of the server's CPU").unwrap();
    }
}
