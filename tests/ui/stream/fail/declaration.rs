use runnel::Stream;

#[runnel::stream(partitions = 32)]
static WITH_ARGUMENTS: Stream<u64> = Stream::new("orders", |n| (*n).into());

#[runnel::stream]
static WITHOUT_INITIALISER: Stream<u64>;

#[runnel::stream]
static mut CHANGING: Stream<u64> = Stream::new("orders", |n| (*n).into());

#[runnel::stream]
const CONSTANT: Stream<u64> = Stream::new("orders", |n| (*n).into());

#[runnel::stream]
static OF_NOTHING: Stream = Stream::new("orders", |n| (*n).into());

#[runnel::stream]
static NUMBER: u64 = 5;

#[runnel::stream]
fn function() {}

fn main() {
    // What has mistakes is still there: using it makes no further errors.
    let _ = (&WITH_ARGUMENTS, &WITHOUT_INITIALISER, &CHANGING, &CONSTANT);
}
