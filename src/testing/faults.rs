//! What goes wrong between a worker and the store, in plain words.
//!
//! These are the usual ones. [`TestWorker::link`] has all of them, seeded chance included, [`TestApp::memory`] the
//! server itself.

use std::time::Duration;

use crate::broker::memory::{Fault, Faults, MemoryBroker, Operation};
use crate::broker::{Acquire, Acquired, Start};
use crate::event::Partition;

use super::{TestApp, TestWorker};

impl TestApp {
    /// The next answer that the store gives to this worker about such an operation is lost: it was done, and the worker
    /// cannot know. Several calls lose several answers.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # use runnel::testing::TestApp;
    /// use runnel::testing::Operation;
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Order { id: u64 }
    /// # runnel::testing::run(async {
    /// # let orders = Stream::new("orders", |o: &Order| o.id.into());
    /// # let mut app = App::bare("shop");
    /// # app.processor(&orders, async |_: Order| {}).name("billing");
    /// # let shop = TestApp::start(app).await;
    /// shop.lose_next_reply("worker-1", Operation::Commit);
    /// shop.send(&orders, Order { id: 7 }).await;
    /// shop.until_idle().await;
    ///
    /// assert_eq!(shop.settled("billing").len(), 1, "it is not handled again");
    /// # });
    /// ```
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn lose_next_reply(&self, worker: &str, operation: Operation) {
        self.link(worker).next_fault(operation, Fault::LostReply);
    }

    /// From now on, every question of this worker to the store takes that long, half of it on each way. Zero ends it.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn slow_store(&self, worker: &str, takes: Duration) {
        let way = takes / 2;
        self.link(worker).set_faults(Faults { delay: way..=way, ..Faults::default() });
    }

    /// Takes a partition from whoever owns it, as if its lease had ended and another worker had acquired it, which is gone
    /// again at once. The owner notices at its next commit or renewal (a third of `lock_expiry` away): what it has in hand
    /// cannot be settled by it any more, and is given to whoever acquires the partition next.
    ///
    /// ```
    /// # use runnel::prelude::*;
    /// # use runnel::testing::{TestApp, takes};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Order { id: u64 }
    /// # runnel::testing::run(async {
    /// # let orders = Stream::new("orders", |o: &Order| o.id.into()).partitions(1);
    /// # let mut app = App::bare("shop");
    /// app.processor(&orders, async |_: Order| takes(Duration::from_secs(1)).await).name("billing");
    /// let shop = TestApp::start(app).await;
    /// shop.send(&orders, Order { id: 7 }).await;
    /// shop.advance(Duration::from_millis(500)).await;
    ///
    /// shop.lose_lease("billing", Partition(0)).await;
    /// shop.until_idle().await;
    ///
    /// assert_eq!(shop.settled("billing").len(), 2, "what must not happen twice needs a key of its own");
    /// # });
    /// ```
    ///
    /// # Panics
    /// If the app has no such processor, or the partition is stopped.
    pub async fn lose_lease(&self, processor: &str, partition: Partition) {
        let wish = Acquire {
            place: self.place(processor, partition).await,
            nonce: format!("lost-by-a-test-{}", self.memory.steps_recorded()).into(),
            worker: "another worker".into(),
            ttl: Duration::from_millis(1),
            start: Start::Beginning,
            joined: self.memory.snapshot().now,
        };
        loop {
            self.memory.lapse(&wish.place);
            match self.handle.broker().acquire(&wish).await {
                Ok(Acquired::Owned(_)) => return,
                // Its owner was quicker, and has renewed the lease.
                Ok(Acquired::Held { .. }) => {}
                Ok(refused) => {
                    panic!("partition {partition} of processor `{processor}` has no lease to lose: {refused:?}")
                }
                Err(problem) => panic!("{problem}"),
            }
        }
    }

    fn link(&self, worker: &str) -> &MemoryBroker {
        let found = self.workers.iter().find(|found| found.name == worker);
        found.map(TestWorker::link).unwrap_or_else(|| panic!("there is no worker `{worker}` in this test"))
    }
}
