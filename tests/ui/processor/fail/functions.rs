use runnel::{Context, Event, Events, Key, Stream};

#[runnel::stream]
static NUMBERS: Stream<u64> = Stream::new("numbers", |n| (*n).into());

#[runnel::processor(NUMBERS)]
fn not_async(_: u64) {}

#[runnel::processor(NUMBERS)]
async unsafe fn not_safe(_: u64) {}

#[runnel::processor(NUMBERS)]
async fn generic<T>(_: T) {}

#[runnel::processor(NUMBERS)]
async fn without_event() {}

#[runnel::processor(NUMBERS)]
async fn borrows(_: &u64) {}

#[runnel::processor(NUMBERS)]
async fn borrows_mutably(_: &mut Vec<u64>) {}

#[runnel::processor(NUMBERS)]
async fn owns_the_loop(_: Events<u64>) {}

#[runnel::processor(NUMBERS)]
async fn shares_the_loop(_: &Events<u64>) {}

#[runnel::processor(NUMBERS)]
async fn keeps_the_loop(_: &'static mut Events<u64>) {}

#[runnel::processor(NUMBERS)]
async fn loops_second(_: u64, _: &mut Events<u64>) {}

#[runnel::processor(NUMBERS)]
async fn borrows_context(_: u64, _: &Context) {}

#[runnel::processor(NUMBERS)]
async fn unnamed(_: impl Sized) {}

#[runnel::processor(NUMBERS)]
async fn returns_something(_: u64) -> impl Sized {}

#[runnel::processor(NUMBERS)]
async fn never_returns(_: u64) -> ! {
    loop {}
}

#[runnel::processor(NUMBERS, batch = 5, timeout = "1s")]
async fn loops_in_batches(_: &mut Events<u64>, _: Key) {}

#[runnel::processor(NUMBERS, batch = 5)]
async fn one_key_of_many(_: Vec<Event>, _: Key) {}

#[runnel::processor(NUMBERS)]
struct NotAFunction;

struct Shop;

impl Shop {
    #[runnel::processor(NUMBERS)]
    async fn method(&self, _: u64) {}
}

fn main() {
    // What has mistakes is still there: using it makes no further errors.
    drop(borrows(&5));
    let _ = (NotAFunction, runnel::App::bare("shop").with::<borrows>());
}
