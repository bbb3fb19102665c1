//! Attribute macros of runnel: thin entry points, one module for each macro.
//!
//! What they write names everything through `::runnel::..`, and what is not for people through
//! `::runnel::__private`. Whatever the user wrote is emitted again, also beside errors, so that one mistake does not
//! make ten messages.

use proc_macro::TokenStream;

mod function;
mod job;
mod nearest;
mod options;
mod problems;
mod processor;
mod record;
mod registration;
mod stream;
mod test;
mod values;

/// Declares a stream as a `static`.
///
/// The initialiser becomes a lazy declaration, built at first use, so that nothing in it must be `const` and closures
/// take their types from the static's type. `App::new` knows the stream.
///
/// ```ignore
/// #[runnel::stream]
/// static ORDERS: Stream<Order> = Stream::new("orders", |o| o.order_id.into()).partitions(32);
/// ```
#[proc_macro_attribute]
pub fn stream(attr: TokenStream, item: TokenStream) -> TokenStream {
    stream::expand(attr.into(), item.into()).into()
}

/// Makes an `async fn` a processor of a stream.
///
/// The function stays what it is and can be called. Beside it there is a type of the same name for
/// `App::with::<printer>()`; `App::new` finds it by itself.
///
/// ```ignore
/// #[runnel::processor(ORDERS, retry(attempts = 5, from = "200ms", to = "30s"), timeout = "10s")]
/// async fn billing(order: Order, db: State<PgPool>, ctx: Context) -> Result<()> { .. }
///
/// #[runnel::processor(ORDERS, batch = 500, within = "2s")]
/// async fn warehouse(orders: Vec<Order>) -> Result<()> { .. }
///
/// #[runnel::processor(ORDERS, exception_policy = "quarantine")]
/// async fn totals(events: &mut Events<Order>) -> Result<()> { .. }
/// ```
///
/// | option | what it says |
/// |---|---|
/// | `name = "printer"` | its name, and that of its consumer groups |
/// | `batch = 500`, `within = "2s"` | handlers of a `Vec`: how many at most, and how long after the first of them |
/// | `retry(attempts = 5, from = "200ms", to = "30s")` | how often a failing event is tried, and the waits between |
/// | `timeout = "10s"` | handlers: how long one try may take |
/// | `exception_policy = "halt"` | what happens then: `halt`, `quarantine` or `ignore` |
/// | `on_error = "dead_letter"` | the event is stored as a dead letter, and the partition goes on |
/// | `middleware = [Timing, Audit::new()]` | what each event or batch passes on its way to the function, in this order |
/// | `max_crashes = 3` | how often an event may kill its worker |
/// | `start = "0"` | where it begins without a position: `0`, `$`, an id or a time |
/// | `prefetch_count = 64` | events read ahead for each partition |
/// | `commit_linger = "5ms"` | how long a settled event may wait for its commit |
/// | `lock_expiry = "10s"`, `grace_period = "8s"` | how long a dead owner holds a partition; how long a drain may take |
/// | `join_delay`, `assignment_sleep`, `assignment_attempts` | how eagerly partitions are taken |
#[proc_macro_attribute]
pub fn processor(attr: TokenStream, item: TokenStream) -> TokenStream {
    processor::expand(attr.into(), item.into()).into()
}

/// Makes an `async fn` a task: every worker runs it when it starts, or the fleet once, by its leader.
///
/// As with `#[runnel::processor]`, the function stays what it is, there is a type of its name for `App::with`, and
/// `App::new` finds it by itself. Its parameters are `RunContext` and `State<T>`, in any order; it returns nothing or a
/// `Result<()>`.
///
/// ```ignore
/// #[runnel::task(on_leader)]
/// async fn migrate(db: State<PgPool>) -> Result<()> { .. }
/// ```
///
/// | option | what it says |
/// |---|---|
/// | `name = "migrate"` | its name, in keys, commands and logs |
/// | `on_leader` | once for the whole fleet, by its leader, in each generation of it; else on every worker |
/// | `exception_policy = "ignore"` | what a failed run means: `ignore`, `quarantine` or `halt` |
/// | `timeout = "5m"` | how long a run may take |
#[proc_macro_attribute]
pub fn task(attr: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(job::Kind::Task, attr.into(), item.into()).into()
}

/// Makes an `async fn` a timer: it is run every interval, first one interval after the start.
///
/// What holds for `#[runnel::task]` and its options holds here as well.
///
/// ```ignore
/// #[runnel::timer(interval = "10s", jitter = "1s")]
/// async fn ping() -> Result<()> { .. }
/// ```
///
/// | option | what it says |
/// |---|---|
/// | `interval = "10s"` | how often; at least `1ms` |
/// | `jitter = "1s"` | each run starts up to that much later, by chance |
/// | `overlap = "skip"` | what happens when a run is due while one runs: `skip`, `queue` or `allow` |
/// | `name`, `on_leader`, `exception_policy`, `timeout` | as for tasks |
#[proc_macro_attribute]
pub fn timer(attr: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(job::Kind::Timer, attr.into(), item.into()).into()
}

/// Makes an `async fn` a crontab: it is run at calendar instants. One that never comes does not compile.
///
/// What holds for `#[runnel::task]` and its options holds here as well.
///
/// ```ignore
/// #[runnel::crontab("45 17 * * MON-FRI", timezone = "Europe/London", on_leader, missed = "latest")]
/// async fn close_of_business(run: RunContext) -> Result<()> { .. }
/// ```
///
/// | option | what it says |
/// |---|---|
/// | `timezone = "Europe/London"` | the zone that its fields are read in; else the setting `timezone` |
/// | `missed = "latest"` | which instants are caught up with that passed while nobody could run them: `skip`, `latest` or `all(60)`, the 60 newest |
/// | `max_lateness = "5m"` | how late an instant may still be run |
/// | `delivery = "at_least_once"` | with `on_leader`: an instant whose leader dies in the middle is run again; else `at_most_once` |
/// | `name`, `on_leader`, `exception_policy`, `timeout` | as for tasks |
#[proc_macro_attribute]
pub fn crontab(attr: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(job::Kind::Crontab, attr.into(), item.into()).into()
}

/// Makes an `async fn` a job on demand: it is run when it is asked for, from code or by `jobs run`, and tried again by its
/// policy, step by step.
///
/// Its parameters are `RunContext`, `State<T>`, and any number of values that are given: those of its input, by name. As
/// with the others the function stays what it is; the type of its name is also for `app.job::<ingest>().run(day)`.
///
/// ```ignore
/// #[runnel::job(retry = backoff(max_attempts = 5, multiplier = 2, min = "1s", max = "10s"), retry_steps = ["load"])]
/// async fn ingest(run: RunContext, day: NaiveDate) -> Result<()> {
///     let rows = run.step("extract", async { fetch(day).await }).await?;
///     run.step("load", async { upload(&rows).await }).await
/// }
/// ```
///
/// | option | what it says |
/// |---|---|
/// | `retry = backoff(..)` | how often it is tried: `backoff(max_attempts, multiplier, min, max)`, `fixed(max_attempts, wait)` or `none` |
/// | `retry_steps = ["load"]` | the steps whose errors are worth another attempt |
/// | `store_trace_info` | the trace of each attempt is stored too; `= "name"`: in the store of that name |
/// | `run_from_clean_folder` | its folder is emptied before each run |
/// | `tag = "nightly"` | what its runs are filed under |
/// | `timeout = "30m"` | how long a run may take, with all its attempts |
/// | `name`, `exception_policy` | as for tasks |
#[proc_macro_attribute]
pub fn job(attr: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(job::Kind::Job, attr.into(), item.into()).into()
}

/// Makes an `async fn` a test, on a runtime whose time is paused: it stands still while something runs, and jumps to the
/// next timer when nothing does. `#[runnel::test(real_time)]` leaves time alone.
///
/// It needs runnel's feature `testing`, and no runtime as a dependency of your own.
///
/// ```ignore
/// #[runnel::test]
/// async fn every_order_is_charged() {
///     let shop = TestApp::start(App::new("shop")).await;
///     ..
/// }
/// ```
#[proc_macro_attribute]
pub fn test(attr: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(attr.into(), item.into()).into()
}

/// Makes a struct a primitive record: each of its fields is a field of the Redis entry, without a codec.
///
/// The struct needs `#[record(primitive)]`, and fields of these types only: integers of any size, `f32`, `f64`, `bool`,
/// `String`, `Vec<u8>` and `bytes::Bytes`, by these names. Values are written as runnel for Python writes them.
///
/// As JSON, for the command line and for pages, bytes are a string if they are UTF-8, else an array of numbers; integers
/// beyond 64 bits, NaN and the infinities are strings. Both forms are read.
///
/// Do not derive `Serialize` and `Deserialize` beside it: every type with both is a record already, stored as one value
/// with the stream's codec, and the compiler refuses two implementations (error E0119). Either of them alone is fine.
#[proc_macro_derive(Record, attributes(record))]
pub fn record(item: TokenStream) -> TokenStream {
    record::expand(item.into()).into()
}
