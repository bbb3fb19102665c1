//! A future that cannot move between threads is told at the function, with what it holds.
use std::rc::Rc;

async fn wait() {}

#[runnel::timer(interval = "1s")]
async fn ping() { //~ future cannot be sent between threads safely
    let held = Rc::new(5);
    wait().await;
    drop(held);
}

fn main() {}
