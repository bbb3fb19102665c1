//! Where a bucket is, and as whom to speak to it.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use serde::Deserialize;

use crate::runs::stores::StoreError;
use crate::runs::{SecretString, StoreSummary};

/// A bucket, or a part of one, and as whom to speak to it.
///
/// What is not said is taken from the variables that all programs for S3 know (`AWS_REGION`, `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, ..), and credentials then from the machine.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Bucket {
    /// Its name.
    pub bucket: String,
    /// What stands before all names in it, and a `/`.
    #[serde(default)]
    pub prefix: String,
    /// The server, where it is not Amazon's: `http://127.0.0.1:9000`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The region.
    #[serde(default)]
    pub region: Option<String>,
    /// Who we are.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// The secret of who we are.
    #[serde(default)]
    pub secret_access_key: Option<SecretString>,
    /// Whether to speak without TLS. Default: false.
    #[serde(default)]
    pub allow_http: bool,
}

impl Bucket {
    /// A bucket of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { bucket: name.into(), ..Self::default() }
    }

    /// This bucket under another address: `s3://bucket/prefix`.
    pub fn at(self, address: &str) -> Result<Self, StoreError> {
        let place = address.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        match bucket.is_empty() {
            true => Err(Self::wrong(format!("{address:?} is no bucket: expected `s3://bucket/prefix`"))),
            false => Ok(Self { bucket: bucket.to_owned(), prefix: prefix.trim_end_matches('/').to_owned(), ..self }),
        }
    }

    /// Its address, without secrets.
    pub(super) fn address(&self) -> String {
        let at = self.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        let gap = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{gap}{}{at}", self.bucket, self.prefix)
    }

    /// What is known of it, for people.
    pub(super) fn summary(&self, service: &str) -> StoreSummary {
        let summary =
            StoreSummary::new(service).with("Bucket", self.bucket.clone()).with("Prefix", self.prefix.clone());
        match &self.endpoint {
            Some(endpoint) => summary.with("Connection", endpoint.clone()),
            None => summary,
        }
    }

    /// The client of this bucket. Nothing is asked of it yet.
    pub(super) fn client(&self) -> Result<AmazonS3, StoreError> {
        if self.bucket.is_empty() {
            return Err(Self::wrong("`bucket` is empty".into()));
        }
        self.path("x")?;
        // An app that has chosen another one keeps it.
        let _chosen_already = rustls::crypto::ring::default_provider().install_default();
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&self.bucket);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(id) = &self.access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &self.secret_access_key {
            builder = builder.with_secret_access_key(secret.expose());
        }
        if self.allow_http {
            builder = builder.with_allow_http(true);
        }
        builder.build().map_err(|error| Self::wrong(error.to_string()))
    }

    /// Where that lies in the bucket.
    pub(super) fn path(&self, name: &str) -> Result<Path, StoreError> {
        let whole = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Path::parse(&whole).map_err(|_| Self::wrong(format!("{whole:?} is no name of something in a bucket")))
    }

    fn wrong(reason: String) -> StoreError {
        StoreError::Config { field: "run_log_store.object-store".into(), reason }
    }
}
