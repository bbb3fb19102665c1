//! What our macros say of what they do not take. Only texts that they write are pinned.
//!
//! What they do take is in the folders `pass`. Programs with an app of their own are tests of their own in `Cargo.toml`;
//! nothing here needs code of what we depend on, which is only checked therefore.
#![cfg(feature = "macros")]

#[path = "ui/explained.rs"]
mod explained;

#[path = "ui/record/pass/every_type.rs"]
mod every_type;
#[path = "ui/record/pass/no_names_in_scope.rs"]
mod no_names_in_scope;
#[path = "ui/record/pass/through_a_macro.rs"]
mod through_a_macro;

#[test]
fn the_record_derive_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/record/fail/*.rs");
}

#[test]
fn the_stream_macro_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/stream/fail/*.rs");
}

#[test]
fn the_processor_macro_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/processor/fail/*.rs");
}

#[test]
fn the_job_macros_explain_themselves() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/job/fail/*.rs");
}

#[test]
fn the_test_macro_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/test/fail/*.rs");
}

#[test]
fn types_that_do_not_fit_are_one_error_where_they_are_written() {
    explained::check(&["tests/ui/stream/types", "tests/ui/processor/types", "tests/ui/job/types"]);
}

#[test]
fn tests_without_the_feature_they_need_say_so() {
    explained::check_tests(&["tests/ui/test/types"]);
}
