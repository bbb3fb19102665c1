use runnel::Record;

#[derive(Record)]
struct Order {
    id: u64,
}

fn main() {}
