//! Whole apps on the memory broker, under paused time.
#![cfg(feature = "testing")]

mod attributes;
mod crashes;
mod crontabs;
mod draining;
mod leader;
mod loops;
mod main_job;
mod operators;
mod shop;
mod start;
mod tasks;
mod timers;
