//! What our macros take, and what they say of what they do not take. Only texts that they write are pinned.
#![cfg(feature = "macros")]

#[test]
fn the_record_derive_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/record/pass/*.rs");
    cases.compile_fail("tests/ui/record/fail/*.rs");
}
