//! Figures, by command: `cargo test --release --lib -- --ignored --nocapture measure`.

#![allow(clippy::print_stdout, reason = "figures are for whoever asked for them")]

use super::*;
use crate::clock;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, decides nothing"]
async fn measure_the_wake_up_of_a_joining_partition() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let keys = keys(65);
    add(&mut commands, &keys[64], "there").await;
    let reader = server.reader(1, LONG);
    for others in [1, 15, 63] {
        let silent = join_all(keys[..others].iter().map(|key| reader.read(key, EventId::ZERO, 64, false)));
        let joins = async {
            let (mut joining, mut direct) = (Vec::new(), Vec::new());
            for _ in 0..500 {
                until_blocked(&mut commands, 1).await;
                let asked = clock::now();
                reader.read(&keys[64], EventId::ZERO, 64, false).await.unwrap();
                joining.push(clock::now().since(asked));
                let asked = clock::now();
                reader.read(&keys[64], EventId::ZERO, 64, true).await.unwrap();
                direct.push(clock::now().since(asked));
            }
            (median(joining), median(direct))
        };
        tokio::select! {
            (joining, direct) = joins => println!("{others} others wait: p50 joining {joining:?}, direct {direct:?}"),
            _ = silent => panic!("nothing was sent there"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, decides nothing"]
async fn measure_draining_sixteen_partitions() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    let keys = keys(16);
    let each = 50_000;
    for key in &keys {
        for _ in 0..each / 1000 {
            let mut pipe = redis::pipe();
            for n in 0..1000 {
                pipe.cmd("XADD").arg(&**key).arg("*").arg("data").arg(format!("{n:0180}")).ignore();
            }
            let _: () = pipe.query_async(&mut commands).await.unwrap();
        }
    }
    let reader = server.reader(4, LONG);
    let begun = clock::now();
    let drains = keys.iter().map(|key| async {
        let (mut seen, mut after) = (0, EventId::ZERO);
        while seen < each {
            let entries = reader.read(key, after, 64, true).await.unwrap();
            after = entries[entries.len() - 1].id;
            seen += entries.len();
        }
    });
    join_all(drains).await;
    let events = (16 * each) as f64;
    println!("drained {:.0} events a second", events / clock::now().since(begun).as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, decides nothing"]
async fn measure_the_way_of_lone_events() {
    let server = Server::start().await;
    let mut commands = server.commands("").await;
    for partitions in [1, 16, 256] {
        let keys = keys(partitions);
        let reader = server.reader(4, LONG);
        let (seen, mut seen_by_all) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = Tasks::behind(&Gate::default());
        for key in keys.clone() {
            let (reader, seen) = (reader.clone(), seen.clone());
            tasks.start(async move {
                let mut after = EventId::ZERO;
                while let Ok(entries) = reader.read(&key, after, 64, false).await {
                    after = entries[entries.len() - 1].id;
                    let _ = seen.send(clock::now());
                }
            });
        }
        until_blocked(&mut commands, partitions.div_ceil(64)).await;
        let mut times = Vec::new();
        for n in 0..500 {
            let sent = clock::now();
            add(&mut commands, &keys[n * 7 % partitions], "event").await;
            times.push(seen_by_all.recv().await.unwrap().since(sent));
            // As at 200 events a second: time enough to wait again.
            clock::sleep(Duration::from_millis(5)).await;
        }
        println!("{partitions} partitions: p50 from sending to seeing {:?}", median(times));
        let _: () = redis::cmd("FLUSHALL").query_async(&mut commands).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "measures, decides nothing"]
async fn measure_a_value_of_64_megabytes() {
    let server = Server::with(&["--client-output-buffer-limit", "normal 0 0 0"]).await;
    let mut commands = server.commands("").await;
    add(&mut commands, "k0", vec![b'x'; 64 << 20]).await;
    let reader = server.reader(1, LONG);
    let asked = clock::now();
    let entries = reader.read(&keys(1)[0], EventId::ZERO, 10, true).await.unwrap();
    println!("{} bytes in {:?}", entries[0].fields.size(), clock::now().since(asked));
}
