//! Records as they lie in Redis: as runnel for Python wrote them, and as we do.
#![cfg(all(feature = "macros", feature = "gzip", feature = "lz4"))]

mod primitive;
mod python;
