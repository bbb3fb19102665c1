//! An event loop cannot be made by anybody but the executor.
use runnel::Events;

fn main() {
    let _: Events<u64> = Events::new(); //~ no function or associated item named `new`
    let _: Events<u64> = Events { current: None }; //~ private field
    let _: Events<u64> = Default::default(); //~ the trait bound `Events<u64>: Default` is not satisfied
    let loop_of = |events: &mut Events<u64>| events.clone(); //~ no method named `clone`
}
