//! The brokers of one app behind the doors that [`connect`](super::connect) opens.

use std::sync::Arc;

use async_trait::async_trait;

use crate::broker::memory::Memory;
use crate::broker::redis::{Redis, RedisOptions};
use crate::broker::{Broker, BrokerError, ServerFacts};
use crate::settings::{Durability, RedisUrl, Settings};

use super::Doors;

/// Opens the stores of one app.
#[derive(Debug)]
pub(crate) struct Brokers {
    app: String,
    prefix: String,
    options: RedisOptions,
}

impl Brokers {
    /// Those of this app.
    pub(crate) fn of(app: &str, settings: &Settings) -> Self {
        let (pool_size, read_timeout) = (settings.default_pool_size, settings.default_read_timeout);
        let durability = settings.durability;
        let options = RedisOptions { pool_size, read_timeout, durability, ..RedisOptions::default() };
        Self { app: app.to_owned(), prefix: settings.key_prefix.clone(), options }
    }
}

#[async_trait]
impl Doors for Brokers {
    type Store = Arc<dyn Broker>;

    async fn redis(&self, url: &RedisUrl) -> Result<(Arc<dyn Broker>, ServerFacts), BrokerError> {
        let broker: Arc<dyn Broker> = Arc::new(Redis::connect(url, &self.app, &self.prefix, self.options).await?);
        let facts = broker.server().await?;
        if let Durability::Replicated(replicas) = self.options.durability
            && facts.replicas < replicas
        {
            tracing::warn!(
                durability = replicas,
                connected = facts.replicas,
                "fewer replicas are connected than `durability` asks for: until they are, no send is acknowledged"
            );
        }
        Ok((broker, facts))
    }

    async fn memory(&self) -> Result<(Arc<dyn Broker>, ServerFacts), BrokerError> {
        let broker: Arc<dyn Broker> = Arc::new(Memory::with_wall_clock().connect());
        let facts = broker.server().await?;
        Ok((broker, facts))
    }
}
