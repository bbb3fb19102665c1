//! When an append counts as acknowledged: the setting `durability`, beyond the server's plain answer.
//!
//! WAIT and WAITAOF speak of what their own connection wrote before them, and hold up everything that comes after them
//! on it. So they go at the end of the very pipeline they are about, on a connection that nothing but appending uses,
//! one pipeline after the other: the server would answer them no sooner, and each has its whole time to be confirmed.
//! What is not confirmed in that time is in the primary all the same: it is told, and never sent again.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

use super::connection::{Connection, Patience};
use super::reply::{self, Reply, Unread};
use super::target::Target;
use crate::broker::BrokerError;
use crate::settings::Durability;

/// Appends that wait until they are safe.
pub(super) struct Durable {
    connection: Connection,
    demand: Demand,
    within: Duration,
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Demand {
    Replicas(u32),
    Disk,
}

/// What became of a pipeline.
pub(super) struct Outcome {
    /// The answers to its questions.
    pub(super) answers: Vec<Result<Value, BrokerError>>,
    /// Why what was written is not as safe as it should be.
    pub(super) shortfall: Option<String>,
}

impl Durable {
    /// Connects, unless the server's answer is enough.
    pub(super) async fn open(
        target: &Target,
        patience: Patience,
        durability: Durability,
        within: Duration,
    ) -> Result<Option<Self>, BrokerError> {
        let demand = match durability {
            Durability::Acked => return Ok(None),
            Durability::Replicated(replicas) => Demand::Replicas(replicas),
            Durability::Fsynced => Demand::Disk,
        };
        let patience = Patience { answer: patience.answer + within, ..patience };
        let connection = Connection::open(target.clone(), patience).await?;
        Ok(Some(Self { connection, demand, within, one_at_a_time: tokio::sync::Mutex::default() }))
    }

    /// Asks all of it, and waits until what it wrote is safe or the time is over.
    pub(super) async fn ask_all(&self, doing: &'static str, mut questions: Pipeline) -> Result<Outcome, BrokerError> {
        let count = questions.len();
        questions.add_command(self.wait());
        // In the order in which they came: appends of one sender keep theirs.
        let _turn = self.one_at_a_time.lock().await;
        let mut answers = self.connection.ask_all(doing, &questions).await?;
        let confirmed = answers.drain(count..).next().map(|answer| answer.map(|value| self.demand.confirmed(value)));
        let asked = match self.demand {
            Demand::Replicas(replicas) => format!("`durability` asks for {replicas} replicas"),
            Demand::Disk => "`durability` asks for what is on disk".to_owned(),
        };
        let shortfall = match confirmed {
            Some(Ok(Ok(reached))) if reached >= self.demand.least() => None,
            Some(Ok(Ok(reached))) => Some(match self.demand {
                Demand::Replicas(_) => format!("{asked}, and {reached} confirmed within {:?}", self.within),
                Demand::Disk => format!("{asked}, and it was not written there within {:?}", self.within),
            }),
            Some(Ok(Err(why))) => Some(format!("{asked}, and the answer cannot be read: {why}")),
            Some(Err(refused)) => Some(format!("{asked}, and this cannot be found out: {refused}")),
            None => Some(format!("{asked}, and nothing was answered")),
        };
        Ok(Outcome { answers, shortfall })
    }

    fn wait(&self) -> Cmd {
        let millis = (self.within.as_millis() as u64).max(1);
        match self.demand {
            Demand::Replicas(replicas) => redis::cmd("WAIT").arg(replicas).arg(millis).take(),
            Demand::Disk => redis::cmd("WAITAOF").arg(1).arg(0).arg(millis).take(),
        }
    }
}

impl Demand {
    fn least(self) -> u64 {
        match self {
            Self::Replicas(replicas) => u64::from(replicas),
            Self::Disk => 1,
        }
    }

    /// How many replicas, or disks of our own, have it.
    fn confirmed(self, value: Value) -> Result<u64, Unread> {
        match self {
            Self::Replicas(_) => reply::number(value),
            Self::Disk => Reply::of(value)?.number("disks"),
        }
    }
}
