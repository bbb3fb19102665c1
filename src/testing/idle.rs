//! Waiting until nothing is left to do; and, where that does not come, saying what everybody is waiting for.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{FenceFacts, GroupSurvey, StopKind};
use crate::clock;
use crate::event::{EventId, Partition};
use crate::runs::RunId;
use crate::settings::TaskLogPolicy;
use crate::witness::{Fired, Seen, Sight, What};

use super::{TestApp, TestWorker};

/// Longer than any wait that a test means; it takes no time of the test's own.
const AN_HOUR: Duration = Duration::from_secs(3600);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where a processor's partitions stand, a line each.
#[derive(Default)]
struct Standing {
    /// Events are left, and nothing says that they shall stay.
    waiting: Vec<String>,
    /// Events are left, behind one at which the partition is stopped.
    stopped: Vec<String>,
}

impl TestApp {
    /// Waits until everything that was sent is settled, or lies behind an event at which its partition is stopped. What the
    /// task log knows by then can be asked for: see [`Self::app`].
    ///
    /// # Panics
    /// After an hour of the test's time, as [`Self::until_idle_within`].
    pub async fn until_idle(&self) {
        self.until_idle_within(AN_HOUR).await;
    }

    /// The same, for that long at most.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # use runnel::testing::TestApp;
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Order { id: u64 }
    /// # runnel::testing::run(async {
    /// # let orders = Stream::new("orders", |o: &Order| o.id.into());
    /// # let mut app = App::bare("shop");
    /// # app.processor(&orders, async |_: Order| {}).name("billing");
    /// let shop = TestApp::start(app).await;
    /// shop.send(&orders, Order { id: 7 }).await;
    ///
    /// shop.until_idle_within(Duration::from_secs(5)).await;
    ///
    /// assert_eq!(shop.settled("billing").len(), 1);
    /// # });
    /// ```
    ///
    /// # Panics
    /// After that time. It says what is waiting: each partition with its position, the event in hand and its try; partitions
    /// that are stopped; jobs that run; and that no worker is there, if so.
    pub async fn until_idle_within(&self, time: Duration) {
        let give_up = clock::now() + time;
        loop {
            let standing = self.standing().await;
            if standing.waiting.is_empty() {
                return;
            }
            assert!(clock::now() < give_up, "not idle after {time:?}:\n{}", self.told(&standing));
            clock::sleep(LOOK_EVERY).await;
        }
    }

    async fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        // The task log is only written while somebody works: of a fleet that has ended, its last lines stay where they are.
        let is_written =
            self.settings.task_log_policy != TaskLogPolicy::Off && self.workers.iter().any(TestWorker::works);
        let own = is_written.then_some(&self.projector);
        for processor in self.app.processors.iter().chain(own) {
            for partition in self.survey(&processor.stream).await {
                let group = partition.groups.iter().find(|group| group.name == processor.name);
                let position = group.and_then(|group| group.position).unwrap_or_default();
                if position >= partition.last {
                    continue;
                }
                let whose = format!(
                    "  processor `{}`, partition {} of stream `{}`",
                    processor.name, partition.partition, processor.stream.name
                );
                let fence = group.and_then(|group| group.fence.as_ref());
                if let Some(stop) = fence.and_then(|fence| fence.stop.as_ref()) {
                    let how = match stop.kind {
                        StopKind::Halted => "halted",
                        StopKind::Quarantined => "quarantined",
                        StopKind::Paused => "paused",
                    };
                    let why = if stop.error.is_empty() { String::new() } else { format!(": {}", stop.error) };
                    standing.stopped.push(format!("{whose}: {how} at {}{why}", stop.at));
                } else {
                    let last = partition.last;
                    let doing = self.doing(&processor.name, partition.partition, group);
                    standing.waiting.push(format!("{whose}: settled up to {position} of {last}; {doing}"));
                }
            }
        }
        standing
    }

    /// Who owns a partition, and what it does with it.
    fn doing(&self, processor: &str, partition: Partition, group: Option<&GroupSurvey>) -> String {
        let owner = group.and_then(|group| group.fence.as_ref()).and_then(|fence: &FenceFacts| fence.worker.as_deref());
        let Some(owner) = owner else {
            return "nobody owns it".into();
        };
        let is_there = |worker: &TestWorker| worker.name == owner && !worker.has_ended();
        if !self.workers.iter().any(is_there) {
            return format!("`{owner}` owns it, which is gone: others wait for its lease to end");
        }
        let last = self
            .seen()
            .into_iter()
            .rev()
            .find(|seen| (&*seen.worker, &*seen.processor, seen.partition) == (owner, processor, partition));
        match last {
            Some(Seen { what: What::Started { attempt }, ids, .. }) => {
                format!("`{owner}` has {} in hand, try {attempt}", several(&ids))
            }
            Some(Seen { what: What::Failed { error }, ids, .. }) => {
                format!("`{owner}` waits to try {} again: {error}", several(&ids))
            }
            _ => format!("`{owner}` owns it and has nothing in hand"),
        }
    }

    /// Everything that may be the reason, for whoever reads why a test failed.
    fn told(&self, standing: &Standing) -> String {
        let mut told = standing.waiting.clone();
        if !standing.stopped.is_empty() {
            told.push("stopped, and not waited for:".into());
            told.extend(standing.stopped.iter().cloned());
        }
        let running = self.running_jobs();
        if !running.is_empty() {
            told.push("jobs that run:".into());
            told.extend(running.iter().map(|run| {
                format!(
                    "  `{}` on `{}` since {}, try {}",
                    run.job,
                    run.worker,
                    run.started.format("%F %T%.3f"),
                    run.attempt
                )
            }));
        }
        let (ended, others): (Vec<_>, Vec<_>) = self.workers.iter().partition(|worker| worker.has_ended());
        let (paused, alive): (Vec<_>, Vec<_>) = others.into_iter().partition(|worker| worker.gate.is_closed());
        let names = |workers: &[&TestWorker]| {
            workers.iter().map(|worker| format!("`{}`", worker.name)).collect::<Vec<_>>().join(", ")
        };
        if alive.is_empty() {
            told.push("no worker is at work: start one with `add_worker`".into());
        }
        if !paused.is_empty() {
            told.push(format!("paused by the test: {}", names(&paused)));
        }
        if !ended.is_empty() {
            told.push(format!("ended by themselves: {} (`worker(..).ended()` says how)", names(&ended)));
        }
        told.join("\n")
    }

    /// The runs of jobs that have begun and not ended, on workers that are still there.
    fn running_jobs(&self) -> Vec<Fired> {
        let seen = self.seen.lock().expect("no code panics while it holds this lock");
        let mut running: BTreeMap<RunId, Fired> = BTreeMap::new();
        for (_, sight) in seen.iter() {
            match sight {
                Sight::Fired(fired) if fired.outcome.is_none() => {
                    _ = running.insert(fired.run_id.clone(), fired.clone())
                }
                Sight::Fired(fired) => _ = running.remove(&fired.run_id),
                Sight::Seen(_) => {}
            }
        }
        let is_there =
            |run: &Fired| self.workers.iter().any(|worker| worker.name == *run.worker && !worker.has_ended());
        running.into_values().filter(is_there).collect()
    }
}

/// `1-0`, or `1-0 and 4 others`.
fn several(ids: &[EventId]) -> String {
    match ids {
        [] => "nothing".into(),
        [id] => id.to_string(),
        [id, others @ ..] => format!("{id} and {} others", others.len()),
    }
}
