//! What the compiler says of a stream's own expression, where the user wrote it.
use runnel::Stream;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    order_id: u64,
}

#[runnel::stream]
static MISSPELT: Stream<Order> = Stream::new("orders", |o| o.oder_id.into()); //~ no field `oder_id` on type `&Order`

#[runnel::stream]
static NO_KEY: Stream<Order> = Stream::new("orders", |o| o.order_id); //~ mismatched types

fn main() {}
