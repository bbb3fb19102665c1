//! Types that the macros cannot see: what the compiler says of them, where the user wrote them, and once.
use runnel::{Context, Event, Key, Result, RunContext};

struct Pool;

struct NoError;

#[runnel::timer(interval = "1s")]
async fn asks_for_an_event(_: Context) {} //~ a job cannot ask for `Context`
//~^ a job has no event: `Context` and `Key` are for processors

#[runnel::task]
async fn asks_for_a_key(_: RunContext, _: Key) {} //~ a job cannot ask for `Key`

#[runnel::task]
async fn takes_an_event(_: Event) {} //~ a job cannot ask for `Event`

#[runnel::crontab("@daily")]
async fn asks_for_a_value(_: RunContext, _: Pool) {} //~ a job cannot ask for `Pool`
//~^ expected `RunContext` or `State<T>`
//~^ values of your own are held by the app: ask for `State<Pool>`, and give it with `App::state(..)`

#[runnel::timer(interval = "1s")]
async fn returns_a_value() -> Result<u64> { //~ a job cannot return `Result<u64
    Ok(5)
}

#[runnel::task]
async fn returns_no_error() -> std::result::Result<(), NoError> { //~ a job cannot return `Result<(), NoError>`
    //~^ any error type that is `std::error::Error + Send + Sync` will do
    Ok(())
}

#[runnel::timer] //~ say how often it runs: `#[runnel::timer(interval = "10s")]`
async fn without_arguments() {}

#[runnel::crontab] //~ say first when it runs: `#[runnel::crontab("45 17 * * *")]`
async fn without_spec() {}

fn main() {}
