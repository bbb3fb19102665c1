//! Workers of an app in this process, and what their handlers were given.

use std::sync::{Arc, Mutex};

use runnel::Failure;
use runnel::prelude::*;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::ground::{Ground, Order};
use crate::support::{eventually, in_time};

/// A worker that runs beside the test.
pub(crate) struct Worker {
    drain: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Failure>>,
}

impl Worker {
    /// Connects the app and runs one worker of it.
    pub(crate) async fn start(app: App) -> Self {
        let connected = app.connect().await.unwrap();
        let (drain, drained) = oneshot::channel();
        let task = runnel::spawn(async move {
            let until = async {
                // A dropped switch must not drain: only `drain` does.
                if drained.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            connected.work_until(until).await
        });
        Self { drain, task }
    }

    /// Ends it as SIGTERM would, and answers what it ended with.
    pub(crate) async fn drain(self) -> Result<(), Failure> {
        let _ = self.drain.send(());
        in_time(self.task).await.unwrap()
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> Result<(), Failure> {
        in_time(self.task).await.unwrap()
    }

    /// Ends it as SIGKILL would: nothing is finished, committed or released.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

/// An error with its causes, as the command line prints it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// What a handler was given, in order.
#[derive(Clone, Debug)]
pub(crate) struct Journal<T = Order>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + 'static> Journal<T> {
    pub(crate) fn note(&self, record: T) {
        self.0.lock().unwrap().push(record);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// A handler that notes what it is given.
    pub(crate) fn noting(&self) -> impl Fn(T) -> std::future::Ready<Result> + Send + Sync + 'static {
        let journal = self.clone();
        move |record| {
            journal.note(record);
            std::future::ready(Ok(()))
        }
    }

    /// Waits until it holds so many.
    pub(crate) async fn reaches(&self, many: usize) {
        eventually(&format!("{many} records are handled"), async || self.len() >= many).await;
    }
}

impl Journal<Order> {
    /// The numbers of one customer's orders.
    pub(crate) fn of(&self, customer: &str) -> Vec<u32> {
        self.all().into_iter().filter(|order| order.customer == customer).map(|order| order.n).collect()
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.all().into_iter().map(|order| order.n).collect()
    }
}

impl Ground {
    /// The app with a processor `billing` that notes what it is given.
    pub(crate) fn noting(&self, orders: &Stream<Order>, journal: &Journal) -> App {
        let mut app = self.quick_app();
        app.processor(orders, journal.noting()).name("billing");
        app
    }
}
