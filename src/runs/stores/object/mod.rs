//! Things in a bucket of an object store that speaks S3: documents of runs, and logs that are shipped there.

mod bucket;
#[cfg(feature = "gzip")]
mod destination;
mod documents;
mod index;

pub use bucket::Bucket;
#[cfg(feature = "gzip")]
pub use destination::ObjectDestination;
pub use documents::ObjectStore;

use super::StoreError;

/// What a bucket could not do. Its client has tried again by itself where that could help.
fn failed(doing: &'static str) -> impl Fn(object_store::Error) -> StoreError {
    use object_store::Error;
    move |source| {
        // What was answered and will be answered again: everything else may be the network.
        let lasting = matches!(
            source,
            Error::PermissionDenied { .. }
                | Error::Unauthenticated { .. }
                | Error::InvalidPath { .. }
                | Error::NotSupported { .. }
                | Error::NotImplemented { .. }
                | Error::UnknownConfigurationKey { .. }
        );
        StoreError::Backend { doing: doing.into(), transient: !lasting, source: source.into() }
    }
}
