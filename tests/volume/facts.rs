//! What Redis itself says of a stream with sixteen partitions, past all of our code.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use redis::{FromRedisValue, Value};

use crate::support::{Server, eventually};
use crate::worker::APP;

const PARTITIONS: u32 = 16;

pub(crate) struct Facts {
    connection: RefCell<redis::Connection>,
    stream: &'static str,
}

impl Facts {
    pub(crate) fn of(server: &Server, stream: &'static str) -> Self {
        Self { connection: RefCell::new(server.raw()), stream }
    }

    fn keys(&self) -> impl Iterator<Item = (u32, String)> {
        (0..PARTITIONS).map(|n| (n, format!("{{{APP}.{}.{n}}}.{n}", self.stream)))
    }

    fn ask<T: FromRedisValue>(&self, questions: &redis::Pipeline) -> T {
        questions.query(&mut *self.connection.borrow_mut()).unwrap()
    }

    /// How many partitions each worker owns, those that own none left out.
    pub(crate) fn owned_by_each(&self) -> Vec<u32> {
        let mut questions = redis::pipe();
        self.keys().for_each(|(_, key)| _ = questions.cmd("HGET").arg(format!("__own:{key}.worker")).arg("worker"));
        let owners: Vec<Option<String>> = self.ask(&questions);
        let mut each = BTreeMap::<String, u32>::new();
        owners.into_iter().flatten().for_each(|owner| *each.entry(owner).or_default() += 1);
        each.into_values().collect()
    }

    /// Entries in the longest partition.
    pub(crate) fn longest(&self) -> u64 {
        let mut questions = redis::pipe();
        self.keys().for_each(|(_, key)| _ = questions.cmd("XLEN").arg(format!("__strm:{key}")));
        self.ask::<Vec<u64>>(&questions).into_iter().max().unwrap()
    }

    /// Events that are not settled, over all partitions, as Redis counts them.
    pub(crate) fn lag(&self) -> Option<u64> {
        let mut questions = redis::pipe();
        self.keys().for_each(|(_, key)| _ = questions.cmd("XINFO").arg("GROUPS").arg(format!("__strm:{key}")));
        let groups: Vec<Vec<HashMap<String, Value>>> = self.ask(&questions);
        let lag = |group: &HashMap<String, Value>| Option::<u64>::from_redis_value(group["lag"].clone()).unwrap();
        groups.iter().flatten().map(lag).sum()
    }

    /// Waits as long as there is progress.
    pub(crate) async fn until_all_is_settled(&self) {
        let mut left = u64::MAX;
        while left > 0 {
            eventually("some more is settled", async || self.lag().is_some_and(|lag| lag < left)).await;
            left = self.lag().unwrap();
        }
    }
}

/// For people.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
