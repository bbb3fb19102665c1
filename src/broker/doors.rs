//! The brokers there are, behind one door.

use std::sync::Arc;

use async_trait::async_trait;

use crate::settings::{RedisUrl, Settings};

use super::connect::Doors;
use super::memory::Memory;
use super::redis::{Redis, RedisOptions};
use super::{Broker, BrokerError, ServerFacts};

/// Opens brokers for one app.
pub(crate) struct Brokers {
    pub(crate) app: String,
    pub(crate) settings: Settings,
}

#[async_trait]
impl Doors for Brokers {
    type Store = Arc<dyn Broker>;

    async fn redis(&self, url: &RedisUrl) -> Result<(Self::Store, ServerFacts), BrokerError> {
        let settings = &self.settings;
        let options = RedisOptions {
            pool_size: settings.default_pool_size,
            read_timeout: settings.default_read_timeout,
            ..RedisOptions::default()
        };
        let store: Arc<dyn Broker> = Arc::new(Redis::connect(url, &self.app, &settings.key_prefix, options).await?);
        let facts = store.server().await?;
        Ok((store, facts))
    }

    async fn memory(&self) -> Result<(Self::Store, ServerFacts), BrokerError> {
        let store: Arc<dyn Broker> = Arc::new(Memory::with_wall_clock().connect());
        let facts = store.server().await?;
        Ok((store, facts))
    }
}
