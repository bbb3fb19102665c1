//! Single sends that meet on their way share a pipeline.
//!
//! A lone record costs Redis four times what one in a pipeline does. So concurrent `send`s go through one task for
//! each stream: what has gathered while the last pipeline was being written goes with the next one. A lone send waits
//! for nothing.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::broker::{BrokerError, NewEntry};
use crate::event::EventId;
use crate::tasks::{Gate, Tasks};

use super::outlet::Road;

const MOST_IN_A_PIPELINE: usize = 256;
const PIPELINES_IN_FLIGHT: usize = 8;
const WAITING: usize = 4096;

type Parcel = (NewEntry, oneshot::Sender<Result<EventId, BrokerError>>);

/// The task and the way to it.
pub(super) struct Pump {
    parcels: mpsc::Sender<Parcel>,
    address: String,
    /// Ends with the pump.
    _task: Tasks,
}

impl Pump {
    pub(super) fn start(road: Arc<Road>) -> Self {
        let (parcels, incoming) = mpsc::channel(WAITING);
        let address = road.broker.address();
        let mut task = Tasks::behind(&Gate::default());
        task.start(run(road, incoming));
        Self { parcels, address, _task: task }
    }

    /// Appends the entry with whatever else is being sent.
    pub(super) async fn send(&self, entry: NewEntry) -> Result<EventId, BrokerError> {
        let (answer, answered) = oneshot::channel();
        let gone =
            || BrokerError::Unclear { address: self.address.clone(), doing: "sending: the runtime is shutting down" };
        self.parcels.send((entry, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn run(road: Arc<Road>, mut incoming: mpsc::Receiver<Parcel>) {
    let mut flying: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    let mut parcels = Vec::new();
    loop {
        // Both are safe to drop: recv_many loses nothing, and the pipelines stay in `flying`.
        tokio::select! {
            got = incoming.recv_many(&mut parcels, MOST_IN_A_PIPELINE), if flying.len() < PIPELINES_IN_FLIGHT => {
                if got == 0 {
                    break;
                }
                let mut pipeline: BoxFuture<'_, ()> = Box::pin(append(&road, std::mem::take(&mut parcels)));
                // Polled here, so that pipelines reach the connection in the order in which they were made.
                if futures::poll!(&mut pipeline).is_pending() {
                    flying.push(pipeline);
                }
            }
            Some(()) = flying.next() => {}
        }
    }
    while flying.next().await.is_some() {}
}

async fn append(road: &Road, parcels: Vec<Parcel>) {
    let (entries, answers): (Vec<_>, Vec<_>) = parcels.into_iter().unzip();
    // A sender that no longer waits for its answer is no error.
    match road.append(entries).await {
        Ok(appended) => appended.ids.into_iter().zip(answers).for_each(|(id, answer)| _ = answer.send(id)),
        Err(error) => answers.into_iter().for_each(|answer| _ = answer.send(Err(error.clone()))),
    }
}
