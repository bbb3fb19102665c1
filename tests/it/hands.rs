//! What foreign hands and servers do to streams that are being worked on: the documented reaction, said aloud, without a
//! busy loop, and nothing lost that the server still has.

use runnel::broker::{Broker, Intervention, Start};
use runnel::prelude::*;

use crate::crew::{Journal, Worker};
use crate::ground::{Ground, Product, order, orders};
use crate::logs::Logs;
use crate::support::eventually;

on_both!(
    a_group_that_is_destroyed_is_made_again_where_it_was,
    a_lost_tail_is_noticed_and_reused_ids_are_processed,
    after_flushall_everything_begins_anew,
    a_deleted_stream_is_missed_and_its_next_events_are_processed,
    a_group_that_is_moved_back_is_obeyed,
    a_group_that_is_moved_forward_skips_nothing,
    a_foreign_consumer_takes_nothing_away,
    events_that_are_deleted_or_trimmed_by_hand_are_a_gap_of_known_size,
    forgotten_scripts_are_loaded_again,
    killed_connections_are_made_again,
    a_restarted_server_that_kept_its_data_loses_and_repeats_nothing,
);

/// A worker in the middle of its job: ten orders of ada sent and settled in partition 0 of 1.
struct Scene {
    ground: Ground,
    logs: Logs,
    journal: Journal,
    app: App,
    worker: Worker,
    last: EventId,
}

impl Scene {
    async fn on(ground: Ground) -> Self {
        let (logs, journal) = (Logs::hear(), Journal::default());
        let app = ground.noting(&orders(1), &journal);
        let worker = Worker::start(app.clone()).await;
        let ids = app.stream(&orders(1)).send_all((0..10).map(|n| order("ada", n))).await.unwrap();
        ground.settled(0, ids[9]).await;
        Self { ground, logs, journal, app, worker, last: ids[9] }
    }

    async fn send(&self, numbers: std::ops::Range<u32>) -> Vec<EventId> {
        self.app.stream(&orders(1)).send_all(numbers.map(|n| order("ada", n))).await.unwrap()
    }

    /// Waits until these were all handled, and ends the scene: they were handled in this order after the first ten.
    async fn ends_with(self, numbers: &[u32]) {
        self.journal.reaches(10 + numbers.len()).await;
        self.worker.drain().await.unwrap();
        assert_eq!(self.journal.numbers()[10..], *numbers);
        assert_eq!(self.journal.numbers()[..10], (0..10).collect::<Vec<_>>());
    }

    /// Looks on for a second of the server's clock: nothing spins.
    async fn is_calm(&self) {
        let (lines, commands) = (self.logs.len(), self.ground.commands());
        self.ground.a_while(Duration::from_secs(1)).await;
        let (lines, commands) = (self.logs.len() - lines, self.ground.commands() - commands);
        assert!(lines <= 10, "{lines} lines in a second");
        // The partitions of the task log are acquired again as well.
        assert!(commands <= 1_000, "{commands} commands in a second");
    }
}

fn alone(product: Product) -> Ground {
    Ground::alone(product.options())
}

async fn a_group_that_is_destroyed_is_made_again_where_it_was(product: Product) {
    let scene = Scene::on(alone(product)).await;

    let _: u32 = scene.ground.does("XGROUP DESTROY P/0 billing");
    scene.logs.say(&["WARN", "the consumer group is gone"]).await;
    scene.logs.say(&["WARN", "the consumer group was missing: it is made again"]).await;
    scene.send(10..12).await;
    scene.is_calm().await;

    scene.ends_with(&[10, 11]).await;
}

async fn a_lost_tail_is_noticed_and_reused_ids_are_processed(product: Product) {
    let scene = Scene::on(alone(product)).await;
    let before: Vec<u8> = scene.ground.does("DUMP P/0");
    let tail = EventId::new(scene.last.ms + 1000, 7);
    scene.app.stream(&orders(1)).send_as(tail, order("ada", 10)).await.unwrap();
    scene.ground.settled(0, tail).await;

    // As after a fail-over to a replica that was behind: the last event is gone, and so is the memory of its id. Group
    // and fence are ahead of the stream.
    let key = scene.ground.key("P/0");
    let mut roll_back = redis::pipe();
    roll_back.atomic().cmd("RESTORE").arg(&key).arg(0).arg(before).arg("REPLACE").ignore();
    roll_back.cmd("XGROUP").arg("SETID").arg(&key).arg("billing").arg(tail.to_string()).ignore();
    let () = roll_back.query(&mut scene.ground.raw()).unwrap();
    scene.logs.say(&["WARN", "beyond the end of the stream"]).await;
    // The same id again, with other content.
    scene.app.stream(&orders(1)).send_as(tail, order("ada", 20)).await.unwrap();
    scene.is_calm().await;

    scene.ends_with(&[10, 20]).await;
}

async fn after_flushall_everything_begins_anew(product: Product) {
    let scene = Scene::on(alone(product)).await;

    let _: () = scene.ground.does("FLUSHALL");
    let ids = scene.send(10..15).await;
    scene.journal.reaches(15).await;
    scene.is_calm().await;

    eventually("the new events are settled", async || {
        let groups: Vec<redis::Value> = scene.ground.does("XINFO GROUPS P/0");
        format!("{groups:?}").contains(&ids[4].to_string())
    })
    .await;
    scene.worker.drain().await.unwrap();
    // What the worker had in hand when it found that its fence was gone is handled again.
    let mut firsts = Vec::new();
    scene.journal.numbers().into_iter().for_each(|n| {
        if !firsts.contains(&n) {
            firsts.push(n)
        }
    });
    assert_eq!(firsts, (0..15).collect::<Vec<_>>());
}

async fn a_deleted_stream_is_missed_and_its_next_events_are_processed(product: Product) {
    let scene = Scene::on(alone(product)).await;

    let _: u32 = scene.ground.does("DEL P/0");
    scene.logs.say(&["WARN", "the consumer group is gone"]).await;
    scene.send(10..13).await;
    scene.is_calm().await;

    scene.ends_with(&[10, 11, 12]).await;
}

async fn a_group_that_is_moved_back_is_obeyed(product: Product) {
    let scene = Scene::on(alone(product)).await;
    let all: redis::streams::StreamRangeReply = scene.ground.does("XRANGE P/0 - +");
    assert_eq!(all.ids.len(), 10, "nothing was trimmed yet");

    let _: () = scene.ground.does(&format!("XGROUP SETID P/0 billing {}", all.ids[6].id));
    scene.logs.say(&["WARN", "the group was moved back", "will be processed again"]).await;
    scene.is_calm().await;

    scene.ends_with(&[7, 8, 9]).await;
}

async fn a_group_that_is_moved_forward_skips_nothing(product: Product) {
    let scene = Scene::on(alone(product)).await;
    let (broker, place) = (scene.ground.broker().await, scene.ground.place(0).await);
    scene.ground.pause().await;
    let ids = scene.send(10..14).await;

    let _: () = scene.ground.does(&format!("XGROUP SETID P/0 billing {}", ids[2]));
    scene.ground.runnel(&["processor", "resume", "billing"]);
    scene.logs.say(&["WARN", "moved forward", "processor reset", &ids[2].to_string()]).await;
    scene.journal.reaches(14).await;
    scene.ground.settled(0, ids[3]).await;
    assert_eq!(scene.journal.numbers()[10..], [10, 11, 12, 13]);

    // What skips is `reset`.
    broker.intervene(&place, &Intervention::Pause).await.unwrap();
    let more = scene.send(20..24).await;
    broker.intervene(&place, &Intervention::Reset(Start::After(more[2]))).await.unwrap();
    scene.ground.settled(0, more[3]).await;
    let numbers = scene.journal.numbers();
    // The owner that was fenced out may have handled some before it noticed; the last one is handled for certain.
    assert!(numbers.ends_with(&[23]), "{numbers:?}");
    scene.worker.drain().await.unwrap();
}

async fn a_foreign_consumer_takes_nothing_away(product: Product) {
    let scene = Scene::on(alone(product)).await;
    scene.ground.pause().await;
    let ids = scene.send(10..14).await;

    let _: redis::Value = scene.ground.does("XREADGROUP GROUP billing thief COUNT 3 NOACK STREAMS P/0 >");
    scene.ground.runnel(&["processor", "resume", "billing"]);
    scene.logs.say(&["WARN", "somebody else reads with XREADGROUP in this group"]).await;
    scene.ground.settled(0, ids[3]).await;
    scene.is_calm().await;

    scene.ends_with(&[10, 11, 12, 13]).await;
}

async fn events_that_are_deleted_or_trimmed_by_hand_are_a_gap_of_known_size(product: Product) {
    let scene = Scene::on(alone(product)).await;
    scene.ground.pause().await;
    let ids = scene.send(10..16).await;

    let _: u32 = scene.ground.does(&format!("XDEL P/0 {}", ids[4]));
    let _: u32 = scene.ground.does(&format!("XTRIM P/0 MINID {}", ids[2]));
    scene.ground.runnel(&["processor", "resume", "billing"]);
    scene.logs.say(&["WARN", "3 events were deleted or trimmed by hand"]).await;
    scene.ground.settled(0, ids[5]).await;
    let lag = || {
        let groups: Vec<std::collections::HashMap<String, redis::Value>> = scene.ground.does("XINFO GROUPS P/0");
        groups[0]["lag"].clone()
    };
    eventually("the lag is 0 again", async || lag() == redis::Value::Int(0)).await;

    scene.ends_with(&[12, 13, 15]).await;
}

async fn forgotten_scripts_are_loaded_again(product: Product) {
    let scene = Scene::on(alone(product)).await;

    let _: () = scene.ground.does("SCRIPT FLUSH");
    scene.send(10..13).await;

    scene.ends_with(&[10, 11, 12]).await;
}

async fn killed_connections_are_made_again(product: Product) {
    let scene = Scene::on(alone(product)).await;

    for n in 0..3 {
        let _: u32 = scene.ground.does("CLIENT KILL TYPE normal SKIPME yes");
        // A sender whose connection is gone is told so; what was certainly not sent is sent again by itself.
        eventually("an order is acknowledged", async || {
            scene.app.stream(&orders(1)).send(order("ada", 10 + n)).await.is_ok()
        })
        .await;
    }
    eventually("all are handled", async || (10..13).all(|n| scene.journal.numbers().contains(&n))).await;
    scene.is_calm().await;
    scene.worker.drain().await.unwrap();
}

async fn a_restarted_server_that_kept_its_data_loses_and_repeats_nothing(product: Product) {
    let mut scene = Scene::on(Ground::alone(product.options().durable())).await;

    scene.ground.server().restart();
    eventually("an order is acknowledged", async || scene.app.stream(&orders(1)).send(order("ada", 10)).await.is_ok())
        .await;
    scene.send(11..14).await;
    scene.is_calm().await;

    scene.ends_with(&[10, 11, 12, 13]).await;
}
