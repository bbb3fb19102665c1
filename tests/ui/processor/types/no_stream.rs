//! An attribute without arguments has no token of its own to point at, so that the compiler adds to the text.
#[runnel::processor] //~ say first which stream is processed: `#[runnel::processor(ORDERS)]`
async fn of_none(_: u64) {}

fn main() {}
