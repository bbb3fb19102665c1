//! Every way to write a stream: options chain, closures infer, paths, attributes and visibility stay.
#![deny(warnings, missing_docs, unreachable_pub)]
#![forbid(unsafe_code)]

use runnel::{App, ExceptionPolicy, Record, Stream};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    order_id: u64,
    customer: String,
}

#[runnel::stream]
static ORDERS: Stream<Order> = Stream::new("orders", |o| o.order_id.into());

/// With options.
#[runnel::stream]
#[allow(dead_code)]
static BY_CUSTOMER: Stream<Order> =
    Stream::new("by-customer", |o| (&o.customer).into()).partitions(32).partition_size(50_000);

#[runnel::stream]
static WITH_PATH: runnel::Stream<Order> = runnel::Stream::<Order>::new(name("path"), |o| o.order_id.into());

#[runnel::stream]
static MADE_ELSEWHERE: Stream<Order> = made("elsewhere");

fn name(text: &str) -> String {
    format!("with-{text}")
}

fn made<R: Record>(name: &str) -> Stream<R> {
    Stream::new(name, |_| 0_u64.into())
}

/// A module, for `pub` and `super`.
pub mod inner {
    use super::*;

    /// Numbers.
    #[runnel::stream]
    pub static NUMBERS: Stream<u64> = Stream::new("numbers", |n| (*n).into());
}

macro_rules! stream_of {
    ($name:ident, $ty:ty, $text:expr) => {
        #[runnel::stream]
        static $name: Stream<$ty> = Stream::new($text, |n: &$ty| (*n).into());
    };
}

stream_of!(THROUGH_A_MACRO, i64, "through-a-macro");

fn main() {
    #[runnel::stream]
    static LOCAL: Stream<u64> = Stream::new("local", |n| (*n).into());

    assert_eq!(ORDERS.name(), "orders");
    assert_eq!(BY_CUSTOMER.name(), "by-customer");
    assert_eq!(WITH_PATH.name(), "with-path");
    assert_eq!(MADE_ELSEWHERE.name(), "elsewhere");
    assert_eq!(inner::NUMBERS.name(), "numbers");
    assert_eq!(THROUGH_A_MACRO.name(), "through-a-macro");
    assert_eq!(LOCAL.name(), "local");
    let _ = (App::new("shop"), ExceptionPolicy::Halt);
}
