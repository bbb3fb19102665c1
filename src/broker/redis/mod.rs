//! The store that is a Redis or Valkey server.

pub(crate) mod reader;
