//! Jobs on demand: attempts, steps, resumed runs, and what remains of them. Under paused time.
#![cfg(feature = "testing")]

mod attempts;
mod configured;
mod declared;
mod ground;
mod looking_on;
mod resuming;
mod traces;
