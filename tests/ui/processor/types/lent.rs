//! The event loop is lent: it cannot be smuggled out of its call, and cannot be made.
use runnel::{Events, Result, Stream};

#[runnel::stream]
static NUMBERS: Stream<u64> = Stream::new("numbers", |n| (*n).into());

#[runnel::processor(NUMBERS)]
async fn spawns(events: &mut Events<u64>) -> Result<()> {
    runnel::spawn(async move { events.next().await.is_ok() }); //~ borrowed data escapes outside of function
    Ok(())
}

#[runnel::processor(NUMBERS)]
async fn spawns_with_tokio(events: &mut Events<u64>) -> Result<()> {
    tokio::spawn(async move { events.next().await.is_ok() }); //~ borrowed data escapes outside of function
    Ok(())
}

fn main() {}
