//! Whole workers and senders under exactly the rules that `acl` prints.

use runnel::prelude::*;

use crate::crew::{Journal, Worker};
use crate::ground::{Ground, Order, Product, order, orders};
use crate::logs::Logs;
use crate::support::eventually;

on_both!(an_app_does_all_its_work_under_the_printed_rules, streams_of_python_are_worked_on_under_the_printed_rules);

/// Makes the users that `acl` prints.
fn make_users(ground: &Ground) {
    for line in ground.runnel(&["acl"]).lines().filter(|line| !line.starts_with('#')) {
        let _: () = ground.does(&line.replace("CHANGE-ME", "secret"));
    }
    let _: () = ground.does("ACL LOG RESET");
}

fn as_user(ground: &Ground, role: &str) -> Ground {
    Ground::at(format!("{}?user=shop-{role}&pass=secret", ground.url))
}

async fn works(product: Product, stream: Stream<Order>) {
    let (ground, journal, logs) = (Ground::alone(product.options()), Journal::default(), Logs::hear());
    make_users(&ground);
    let app = as_user(&ground, "worker").noting(&stream, &journal);
    let producer = as_user(&ground, "producer").app();
    let first = Worker::start(app.clone()).await;
    let second = Worker::start(app.clone()).await;

    // Full partitions make the producer look for room itself.
    for n in 0..40 {
        producer.stream(&stream).send(order("ada", n)).await.unwrap();
    }
    journal.reaches(40).await;
    first.drain().await.unwrap();
    producer.stream(&stream).send_all((40..50).map(|n| order("ada", n))).await.unwrap();
    journal.reaches(50).await;
    // Renewed and trimmed at least once.
    let beat = || ground.does::<Vec<(String, f64)>>("ZRANGE BEAT 0 -1 WITHSCORES");
    let before = beat();
    eventually("it beats again", async || beat() != before).await;
    second.drain().await.unwrap();

    assert_eq!(journal.numbers(), (0..50).collect::<Vec<_>>());
    // What is not necessary may be refused, and then must not be logged.
    let log: Vec<redis::Value> = ground.does("ACL LOG");
    let log = format!("{log:?}");
    assert!(logs.line(&["NOPERM"]).is_none(), "{:?}\n{log}", logs.line(&["NOPERM"]));
    for allowed in ["xadd", "evalsha", "xread", "eval", "xlen"] {
        assert!(!log.contains(&format!("\"{allowed}\"")), "{allowed}: {log}");
    }
}

async fn an_app_does_all_its_work_under_the_printed_rules(product: Product) {
    works(product, orders(2).partition_size(20)).await;
}

async fn streams_of_python_are_worked_on_under_the_printed_rules(product: Product) {
    works(product, orders(2).partition_size(20).python_compatible()).await;
}
