use runnel::Record;

#[derive(Record)]
#[record(primitive)]
enum Choice {
    One,
}

#[derive(Record)]
#[record(primitive)]
struct Pair(u8, u8);

#[derive(Record)]
#[record(primitive)]
struct Nothing;

#[derive(Record)]
#[record(primitive)]
struct Empty {}

#[derive(Record)]
#[record(primitive)]
struct Generic<T> {
    value: T,
}

#[derive(Record)]
#[record(primitive)]
union Either {
    a: u8,
    b: u8,
}

fn main() {}
