//! The store on Redis as it is configured: on the app's own server and among its keys, unless told otherwise.

use serde::Deserialize;

use super::{RedisStore, RedisStoreOptions};
use crate::runs::stores::{StoreError, StoreSettings, Stores};
use crate::settings::RedisUrl;

/// Where an app keeps what is its own.
#[derive(Clone, Debug)]
pub(in crate::runs::stores) struct Home {
    pub(in crate::runs::stores) url: RedisUrl,
    pub(in crate::runs::stores) app: String,
    pub(in crate::runs::stores) prefix: String,
}

/// What configuration may say of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::runs::stores) struct OnRedis {
    /// The server: that of the app, unless told otherwise.
    redis_url: Option<String>,
    /// The app whose runs these are.
    app: Option<String>,
    /// What stands before all its keys.
    key_prefix: Option<String>,
    /// See [`RedisStoreOptions::lines_per_task`].
    lines_per_task: Option<u64>,
}

impl OnRedis {
    pub(in crate::runs::stores) async fn connect(
        self,
        home: Option<Home>,
        settings: StoreSettings,
    ) -> Result<Stores, StoreError> {
        let missing = |name: &str| StoreError::Config {
            field: format!("run_log_store.{}", RedisStore::TYPE),
            reason: format!("missing field `{name}`"),
        };
        let url = self.redis_url.map(RedisUrl::new).or(home.as_ref().map(|home| home.url.clone()));
        let url = url.ok_or_else(|| missing("redis_url"))?;
        let app = self.app.or(home.as_ref().map(|home| home.app.clone())).ok_or_else(|| missing("app"))?;
        let prefix = self.key_prefix.or(home.map(|home| home.prefix)).unwrap_or_default();
        let defaults = RedisStoreOptions::default();
        let options = RedisStoreOptions {
            retention: settings.retention(),
            compression: settings.enable_compression,
            lines_per_task: self.lines_per_task.unwrap_or(defaults.lines_per_task),
            ..defaults
        };
        Ok(Stores::both(RedisStore::connect(&url, &app, &prefix, options).await?))
    }
}
