use runnel::Record;

type UserId = u64;

#[derive(Record)]
#[record(primitive)]
struct Action<'a> {
    text: &'a str,
}

#[derive(Record)]
#[record(primitive)]
struct Visit {
    user: UserId,
    pages: Vec<String>,
    referrer: Option<String>,
    at: (f64, f64),
    __seen: u64,
    good: u64,
}

fn main() {}
