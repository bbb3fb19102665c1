use runnel::Stream;

#[runnel::stream]
static NUMBERS: Stream<u64> = Stream::new("numbers", |n| (*n).into());

#[runnel::processor(timeout = "1s")]
async fn without_stream(_: u64) {}

#[runnel::processor(NUMBERS, retries = 5)]
async fn misspelt(_: u64) {}

#[runnel::processor(NUMBERS, colour = "red")]
async fn unknown(_: u64) {}

#[runnel::processor(NUMBERS, retry(attempt = 5))]
async fn misspelt_inside(_: u64) {}

#[runnel::processor(NUMBERS, timeout = "1s", timeout = "2s")]
async fn twice(_: u64) {}

#[runnel::processor(NUMBERS, retry = 5)]
async fn another_form(_: u64) {}

#[runnel::processor(NUMBERS, timeout = "10x")]
async fn no_duration(_: u64) {}

#[runnel::processor(NUMBERS, timeout = 10)]
async fn no_unit(_: u64) {}

#[runnel::processor(NUMBERS, batch = 0)]
async fn empty_batch(_: Vec<u64>) {}

#[runnel::processor(NUMBERS, within = "2s")]
async fn within_nothing(_: u64) {}

#[runnel::processor(NUMBERS, start = "yesterday")]
async fn no_start(_: u64) {}

#[runnel::processor(NUMBERS, exception_policy = "HALT")]
async fn no_policy(_: u64) {}

#[runnel::processor(NUMBERS, exception_policy = "quarantine", on_error = "dead_letter")]
async fn contradiction(_: u64) {}

#[runnel::processor(NUMBERS, batch = "5", timeout = "1", name = "", lock_expiry = "1ms")]
async fn all_at_once(_: Vec<u64>) {}

fn main() {}
