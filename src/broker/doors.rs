//! The brokers there are, behind one door.

use std::sync::Arc;

use async_trait::async_trait;

use crate::settings::{RedisUrl, Settings};

use super::connect::Doors;
use super::memory::Memory;
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
        unimplemented!("{url}")
    }

    async fn memory(&self) -> Result<(Self::Store, ServerFacts), BrokerError> {
        let store: Arc<dyn Broker> = Arc::new(Memory::with_wall_clock().connect());
        let facts = store.server().await?;
        Ok((store, facts))
    }
}
