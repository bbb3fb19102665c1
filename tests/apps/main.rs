//! Whole apps on the memory broker, under paused time.
#![cfg(feature = "testing")]

mod attributes;
mod crashes;
mod crontabs;
mod dead_letters;
mod draining;
mod fail_overs;
mod kit;
mod leader;
mod loops;
mod main_job;
mod middleware;
mod operators;
mod output;
mod retried_letters;
mod run_logs;
mod shop;
mod start;
mod steps;
mod task_log;
mod tasks;
mod timers;
mod tracked;
