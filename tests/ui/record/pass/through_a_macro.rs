//! Types that come through another macro are still recognised.
use runnel::Record;

macro_rules! record {
    ($name:ident { $($field:ident: $type:ty),* }) => {
        #[derive(Record)]
        #[record(primitive)]
        pub struct $name { $(pub $field: $type),* }
    };
}

record!(Action { id: u64, token: Vec<u8> });

#[test]
fn types_are_still_recognised() {
    const { assert!(Action::PRIMITIVE) };
    let action = Action { id: 1, token: b"a".to_vec() };
    assert_eq!((action.id, &*action.token), (1, &b"a"[..]));
}
