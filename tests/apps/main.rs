//! Whole apps on the memory broker, under paused time.
#![cfg(feature = "testing")]

mod draining;
mod main_job;
mod start;
