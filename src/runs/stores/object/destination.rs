//! A bucket as the place where logs of ended runs are shipped to.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::{Error, ObjectStoreExt};
use tokio::io::AsyncWriteExt;

use super::Bucket;
use crate::runs::StoreError;
use crate::runs::output::{Content, Destination};

/// Logs in a bucket. Long ones are sent in parts, which count when the last one is there.
#[derive(Debug)]
pub struct ObjectDestination {
    client: Arc<dyn object_store::ObjectStore>,
    bucket: Bucket,
}

impl ObjectDestination {
    /// In that bucket. Nothing is asked of it yet.
    pub fn new(bucket: Bucket) -> Result<Self, StoreError> {
        Ok(Self { client: Arc::new(bucket.client()?), bucket })
    }

    /// Over another client of the crate `object_store`: one for tests, or of another make.
    pub fn over(client: Arc<dyn object_store::ObjectStore>, bucket: Bucket) -> Self {
        Self { client, bucket }
    }

    /// A name in the bucket without what stands before all of them.
    fn name<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.bucket.prefix.as_str() {
            "" => Some(path),
            prefix => path.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }
}

#[async_trait]
impl Destination for ObjectDestination {
    async fn put(&self, name: &str, mut content: Content) -> crate::Result {
        let mut writer = BufWriter::new(Arc::clone(&self.client), self.bucket.path(name)?);
        let sent = async {
            while let Some(block) = content.next().await {
                writer.put(block?).await?;
            }
            writer.shutdown().await?;
            Ok(())
        };
        let sent = sent.await;
        if sent.is_err() {
            // The first error says more than a second one could. Nothing is seen of what was sent.
            let _ = writer.abort().await;
        }
        sent
    }

    async fn get(&self, name: &str) -> crate::Result<Option<Content>> {
        match self.client.get(&self.bucket.path(name)?).await {
            Ok(found) => Ok(Some(found.into_stream().map_err(io::Error::other).boxed())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn list(&self, prefix: &str) -> crate::Result<Vec<String>> {
        // A bucket lists whole folders.
        let folder = prefix.rsplit_once('/').map(|(folder, _)| folder);
        let folder = match (folder, self.bucket.prefix.as_str()) {
            (Some(folder), _) => Some(self.bucket.path(folder)?),
            (None, "") => None,
            (None, whole) => Some(object_store::path::Path::parse(whole)?),
        };
        let objects: Vec<_> = self.client.list(folder.as_ref()).try_collect().await?;
        let names = objects.iter().filter_map(|object| self.name(object.location.as_ref()));
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn delete(&self, name: &str) -> crate::Result<bool> {
        let path = self.bucket.path(name)?;
        // Removing what is not there is no error to a bucket.
        let existed = match self.client.head(&path).await {
            Ok(_) => true,
            Err(Error::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        match self.client.delete(&path).await {
            Ok(()) => Ok(existed),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
