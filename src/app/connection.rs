//! From an app and its settings to a connection that the app can work on.

use std::sync::Arc;

use crate::broker::connect::{Brokers, Connected, PrivateServer, Wanted, connect};
use crate::broker::{Broker, ServerFacts};
use crate::error::Failure;
use crate::settings::{Loaded, Named, Overrides, RedisUrl, check_name, load};
use crate::stream::current::Handle;

use super::App;

/// A connected app.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) handle: Handle,
    /// Where the store really is.
    pub(crate) url: RedisUrl,
    pub(crate) facts: ServerFacts,
    /// Which store this is and what that means, where nobody named one.
    pub(crate) banner: Option<String>,
    /// A server of our own: it ends when this is dropped.
    pub(crate) private: Option<PrivateServer>,
}

impl Connection {
    /// Connects to the store that the settings name, or to `fallback` where none is named anywhere.
    pub(crate) async fn open(app: &App, loaded: &Loaded, fallback: Option<&str>) -> Result<Self, Failure> {
        check_name(Named::App, app.name())?;
        let mut wanted = Wanted::by(loaded);
        if let (false, Some(fallback)) = (loaded.names_redis(), fallback) {
            wanted.url = RedisUrl::new(fallback);
        }
        let doors = Brokers::of(app.name(), &loaded.settings);
        let Connected { store, url, facts, banner, private } = connect(&doors, &wanted).await?;
        let store: Arc<dyn Broker> = store;
        let handle = Handle::new(app.name().to_owned(), store, loaded.settings.clone())?;
        app.bind(handle.clone());
        let home = (url.clone(), app.name().to_owned(), loaded.settings.key_prefix.clone());
        app.run_logs.found(loaded.sections.run_log_store.clone(), (facts.product != "memory").then_some(home));
        Ok(Self { handle, url, facts, banner, private })
    }
}

impl App {
    /// The settings that hold for this app: code, environment, `runnel.toml`, defaults, under those of the command line.
    pub(crate) fn settings(&self, command_line: &Overrides) -> Result<Loaded, Failure> {
        load(command_line, &self.overrides)
    }

    /// The connection for `app.stream(..)` in programs that run no worker.
    pub(super) async fn connect_to_send(&self) -> Result<Handle, Failure> {
        let loaded = self.settings(&Overrides::new())?;
        let connection = Connection::open(self, &loaded, None).await?;
        if connection.private.is_some() {
            return Err(Failure::Invalid(
                "auto:// has started a server of its own for this sender alone, in which no worker would ever look: name a \
                 redis_url"
                    .into(),
            ));
        }
        Ok(connection.handle)
    }
}
