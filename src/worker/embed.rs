//! Workers inside programs that are more than a worker: tests, examples, a server with a worker in it.

use std::future::Future;
use std::sync::Arc;

use crate::app::App;
use crate::app::connection::Connection;
use crate::broker::PartitionSurvey;
use crate::error::{Doing, Failure};
use crate::record::Record;
use crate::settings::{Loaded, Overrides, RedisUrl};
use crate::stream::{Bound, Stream};
use crate::tasks::{Gate, Tasks};

use super::{Switches, Worker, check};

/// An app that is connected to its store.
///
/// ```
/// # use runnel::prelude::*;
/// # #[derive(Serialize, Deserialize)] struct Order { id: u64 }
/// # #[tokio::main] async fn main() -> runnel::Result {
/// let orders = Stream::new("orders", |o: &Order| o.id.into());
/// let mut app = App::bare("shop").redis("memory://");
/// app.processor(&orders, async |order: Order| println!("{}", order.id)).name("printer");
///
/// let shop = app.connect().await?;
/// shop.stream(&orders).send(Order { id: 1 }).await?;
/// shop.work_until(async { /* a signal, a deadline, the end of a server */ }).await?;
/// assert_eq!(shop.survey("orders").await?.iter().map(|partition| partition.added).sum::<u64>(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Connected {
    app: App,
    loaded: Loaded,
    connection: Connection,
}

impl App {
    /// Connects to the store that code, environment or `runnel.toml` name; `redis://127.0.0.1:6379` if none does.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for settings that cannot work, all of them at once; a sentence with advice for a store that
    /// cannot be reached or used.
    pub async fn connect(&self) -> Result<Connected, Failure> {
        self.connected(None).await
    }

    /// The same, but `fallback` where no store is named anywhere: `auto://` takes what is at hand.
    ///
    /// # Errors
    /// As [`App::connect`].
    pub async fn connect_or(&self, fallback: &str) -> Result<Connected, Failure> {
        self.connected(Some(fallback)).await
    }

    async fn connected(&self, fallback: Option<&str>) -> Result<Connected, Failure> {
        let loaded = self.settings(&Overrides::new())?;
        let connection = Connection::open(self, &loaded, fallback).await?;
        Ok(Connected { app: self.clone(), loaded, connection })
    }
}

impl Connected {
    /// Where the store really is: what other processes are given as `RUNNEL_REDIS_URL` to meet this one. A server that
    /// `auto://` has started ends with this value.
    pub fn url(&self) -> &RedisUrl {
        &self.connection.url
    }

    /// One line that says which store this is, where `auto://` or `memory://` were asked for.
    pub fn banner(&self) -> Option<&str> {
        self.connection.banner.as_deref()
    }

    /// A stream to send to.
    pub fn stream<R: Record>(&self, stream: &Stream<R>) -> Bound<R> {
        Bound::new(stream, self.connection.handle.clone())
    }

    /// What lies in each partition of a stream and how far each processor is; nothing if it was never declared.
    ///
    /// # Errors
    /// [`Failure::Broker`] when the store does not answer.
    pub async fn survey(&self, stream: &str) -> Result<Vec<PartitionSurvey>, Failure> {
        let broker = self.connection.handle.broker();
        let doing = || format!("look at stream `{stream}`");
        match broker.stream(stream).await.doing(doing)? {
            Some(facts) => broker.survey(&Arc::new(facts)).await.doing(doing),
            None => Ok(Vec::new()),
        }
    }

    /// Runs one worker until `until` ends or a partition is halted, then drains it: what runs is finished, committed and
    /// released. May be called several times at once, for several workers. Dropping it ends the worker without draining.
    ///
    /// # Errors
    /// [`Failure::Halted`] when a policy has halted a partition; [`Failure::Invalid`] when the app cannot work.
    pub async fn work_until(&self, until: impl Future<Output = ()> + Send) -> Result<(), Failure> {
        check(&self.app, &self.loaded.settings)?;
        let switches = Switches::default();
        let mut running = Tasks::behind(&Gate::default());
        let worker = Worker::new(self.app.clone(), self.connection.handle.clone());
        running.start(worker.run(switches.clone()));
        let mut until = std::pin::pin!(until);
        loop {
            // Both are safe to drop: neither loses what it waits for.
            tokio::select! {
                ended = running.next() => return match ended {
                    Some(Ok(end)) => end,
                    Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
                    None => Ok(()),
                },
                () = &mut until, if !switches.drain.is_cancelled() => switches.drain.cancel(),
            }
        }
    }

    /// What this app has run and what it printed, to be answered over HTTP: routes to nest into those of another program.
    /// They ask for setting `http_token`, if that is set; else they answer this machine alone.
    ///
    /// ```no_run
    /// # use runnel::prelude::*;
    /// # async fn routes() -> runnel::Result<axum::Router> {
    /// let shop = App::bare("shop").connect().await?;
    /// let routes = axum::Router::new().nest("/runnel", shop.http().await?);
    /// # Ok(routes) }
    /// ```
    #[cfg(feature = "http")]
    pub async fn http(&self) -> Result<axum::Router, Failure> {
        let api = crate::http::Api::of(&self.app, self.connection.handle.clone(), crate::http::Answering::default());
        Ok(api.await?.router())
    }

    /// Removes everything of this app under its key prefix, and answers how many keys that were. For examples and tests,
    /// which use a prefix of their own.
    pub async fn erase(&self) -> Result<u64, Failure> {
        self.connection.handle.broker().erase().await.doing(|| format!("erase app `{}`", self.app.name()))
    }
}
