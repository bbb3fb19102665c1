//! Types that the macro cannot see: what the compiler says of them, where the user wrote them, and once.
use runnel::{Context, Event, Events, Result, Stream};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    order_id: u64,
}

#[derive(Serialize, Deserialize)]
struct Invoice;

struct Pool;

struct NoError;

#[runnel::stream]
static ORDERS: Stream<Order> = Stream::new("orders", |o| o.order_id.into());

static NO_STREAM: u64 = 5;

#[runnel::processor(ORDERS)]
async fn wrong_record(_: Invoice) {} //~ a processor of this stream cannot take `Invoice`
//~^ expected the stream's record `Order`, or a raw `Event`

#[runnel::processor(ORDERS)]
async fn no_batch(_: Vec<Order>) {} //~ a processor of this stream cannot take `Vec<Order>`
//~^ for many at once, a handler takes `Vec<Order>` and says how many: `batch = 500`

#[runnel::processor(ORDERS, batch = 500)]
async fn no_vec(_: Order) {} //~ a processor with `batch` cannot take `Order`
//~^ expected `Vec<Order>`, or `Vec<Event>` for raw events

#[runnel::processor(ORDERS)]
async fn wrong_loop(_: &mut Events<Invoice>) {} //~ a processor of this stream cannot take `Invoice`

#[runnel::processor(ORDERS)]
async fn loop_of_batches(_: &mut Events<Vec<Event>>) {} //~ a processor of this stream cannot take `Vec<Event>`

#[runnel::processor(ORDERS)]
async fn no_extractor(_: Order, _: Context, _: Pool) {} //~ a processor cannot ask for `Pool`
//~^ expected `Context`, `State<T>`, `Key` or `RunContext`
//~^ values of your own are held by the app: ask for `State<Pool>`, and give it with `App::state(..)`

#[runnel::processor(ORDERS)]
async fn no_extractor_of_a_loop(_: &mut Events<Order>, _: Pool) {} //~ a processor cannot ask for `Pool`

#[runnel::processor(ORDERS)]
async fn returns_a_value(_: Order) -> Result<u64> { //~ a processor cannot return `Result<u64
    Ok(5)
}

#[runnel::processor(ORDERS)]
async fn returns_no_error(_: Order) -> std::result::Result<(), NoError> { //~ a processor cannot return `Result<(), NoError>`
    //~^ any error type that is `std::error::Error + Send + Sync` will do
    Ok(())
}

#[runnel::processor(NO_STREAM)] //~ mismatched types
async fn of_no_stream(_: Order) {}

#[runnel::processor(NOWHERE)] //~ cannot find value `NOWHERE`
async fn of_nothing(_: Order) {}

fn main() {}
