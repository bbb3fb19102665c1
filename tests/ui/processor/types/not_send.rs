//! A future that cannot move between threads is told at the function, with what it holds.
use std::rc::Rc;

use runnel::{Events, Stream};

#[runnel::stream]
static NUMBERS: Stream<u64> = Stream::new("numbers", |n| (*n).into());

async fn wait() {}

#[runnel::processor(NUMBERS)]
async fn handler(_: u64) { //~ future cannot be sent between threads safely
    let held = Rc::new(5);
    wait().await;
    drop(held);
}

#[runnel::processor(NUMBERS)]
async fn looping(_: &mut Events<u64>) { //~ future cannot be sent between threads safely
    let held = Rc::new(5);
    wait().await;
    drop(held);
}

fn main() {}
