//! Records as they lie in Redis: as runnel for Python wrote them, and as we do.
#![cfg(all(feature = "macros", feature = "gzip", feature = "lz4"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop where it stands")]

mod primitive;
mod python;
