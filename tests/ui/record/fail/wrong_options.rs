use runnel::Record;

#[derive(Record)]
#[record(primitve)]
struct Misspelt {
    id: u64,
}

#[derive(Record)]
#[record]
struct Bare {
    id: u64,
}

#[derive(Record)]
#[record(primitive = true)]
struct Valued {
    id: u64,
}

#[derive(Record)]
#[record(primitive)]
struct Optioned {
    #[record(rename = "key")]
    id: u64,
}

fn main() {}
