//! How a question travels to the [`Memory`](super::Memory) and its answer back, and what may befall both.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::BrokerError;
use crate::clock;

use super::ADDRESS;
use super::faults::{Fault, Operation};
use super::handle::MemoryBroker;
use super::store::{ServerTime, Store};

impl MemoryBroker {
    pub(super) async fn ask<T, F>(&self, operation: Operation, step: F) -> Result<T, BrokerError>
    where
        T: Send,
        F: Fn(&mut Store, ServerTime) -> T + Clone + Send + 'static,
    {
        self.ask_all(operation, vec![step]).await.pop().expect("each question has an answer")
    }

    /// Sends questions together and waits for their answers: all travel equally long, each may be lost alone.
    pub(super) async fn ask_all<T, F>(&self, operation: Operation, steps: Vec<F>) -> Vec<Result<T, BrokerError>>
    where
        T: Send,
        F: Fn(&mut Store, ServerTime) -> T + Clone + Send + 'static,
    {
        let journey = self.link.journey(operation, steps.len());
        let (server, heard) = (self.world.server(), self.link.heard());
        self.travel(journey.there).await;
        // What waits for a connection to come back dies with it, if that comes back to another server.
        let server = if self.link.heard() == heard { server } else { GONE };
        let mut answers: Vec<_> = steps
            .into_iter()
            .zip(journey.faults)
            .map(|(step, fault)| self.meet(server, fault, operation, step))
            .collect();
        self.travel(journey.back).await;
        if self.world.server() != server {
            answers.iter_mut().for_each(|answer| *answer = Err(unclear(operation)));
        } else if answers.iter().any(|answer| matches!(answer, Err(BrokerError::Unclear { .. }))) {
            clock::sleep(journey.patience).await;
        }
        answers
    }

    /// On the way, one way. Even the shortest lets others run first.
    pub(super) async fn travel(&self, time: Duration) {
        self.link.open().await;
        if time.is_zero() {
            tokio::task::yield_now().await;
        } else {
            clock::sleep(time).await;
        }
        self.link.open().await;
    }

    /// One question at the server, with what befalls it.
    fn meet<T, F>(&self, server: u64, fault: Option<Fault>, operation: Operation, step: F) -> Result<T, BrokerError>
    where
        F: Fn(&mut Store, ServerTime) -> T + Clone + Send + 'static,
    {
        let later = |by, step: F| self.world.later(by, move |store, now| drop(step(store, now)));
        match fault {
            Some(Fault::LostRequest) => return Err(unclear(operation)),
            Some(Fault::Late(by)) => {
                later(by, step);
                return Err(unclear(operation));
            }
            Some(Fault::Refused(code)) => return Err(refused(operation, code)),
            Some(Fault::Unavailable) => return Err(unavailable()),
            Some(Fault::Twice(by)) => later(by, step.clone()),
            Some(Fault::LostReply) | None => {}
        }
        let answer = self.world.step_at(server, step).ok_or_else(|| unclear(operation))?;
        if fault == Some(Fault::LostReply) { Err(unclear(operation)) } else { Ok(answer) }
    }
}

/// No server has this number.
const GONE: u64 = 0;

pub(super) fn unclear(operation: Operation) -> BrokerError {
    BrokerError::Unclear { address: ADDRESS.into(), doing: operation.doing() }
}

pub(super) fn refused(operation: Operation, code: &str) -> BrokerError {
    let message = "by an injected fault".into();
    BrokerError::Refused { address: ADDRESS.into(), doing: operation.doing(), code: code.into(), message }
}

pub(super) fn unavailable() -> BrokerError {
    let source = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "an injected fault");
    BrokerError::Unavailable { address: ADDRESS.into(), source: Arc::new(source) }
}
