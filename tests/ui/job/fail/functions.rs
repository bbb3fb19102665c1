use runnel::{RunContext, State};

#[runnel::timer(interval = "1s")]
fn not_async() {}

#[runnel::task]
async unsafe fn not_safe() {}

#[runnel::crontab("@daily")]
async extern "C" fn foreign() {}

#[runnel::timer(interval = "1s")]
async fn generic<T>() {}

#[runnel::timer(interval = "1s")]
async fn with_a_clause()
where
    u64: Copy,
{
}

#[runnel::timer(interval = "1s")]
async fn borrows(_: &RunContext) {}

#[runnel::crontab("@daily")]
async fn borrows_mutably(_: RunContext, _: &mut State<u64>) {}

#[runnel::task]
async fn unnamed(_: impl Sized) {}

#[runnel::task]
async fn returns_something() -> impl Sized {}

#[runnel::timer(interval = "1s")]
async fn never_returns() -> ! {
    loop {}
}

#[runnel::crontab("@daily")]
async fn returns_two() -> (u64, u64) {
    (1, 2)
}

#[runnel::task]
struct NotAFunction;

#[runnel::timer(interval = "1s")]
static NO_FUNCTION: u64 = 5;

#[runnel::crontab("@daily")]
mod no_function {}

struct Shop;

impl Shop {
    #[runnel::timer(interval = "1s")]
    async fn method(&self) {}
}

fn main() {
    // What has mistakes is still there: using it makes no further errors.
    drop(returns_two());
    let _ = (NotAFunction, NO_FUNCTION, runnel::App::bare("shop").with::<borrows>());
}
