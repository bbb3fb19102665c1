//! What our macros take, and what they say of what they do not take. Only texts that they write are pinned.
#![cfg(feature = "macros")]

#[path = "ui/explained.rs"]
mod explained;

#[test]
fn the_record_derive_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/record/pass/*.rs");
    cases.compile_fail("tests/ui/record/fail/*.rs");
}

#[test]
fn the_stream_macro_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/stream/pass/*.rs");
    cases.compile_fail("tests/ui/stream/fail/*.rs");
}

#[test]
fn the_processor_macro_explains_itself() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/processor/pass/*.rs");
    cases.compile_fail("tests/ui/processor/fail/*.rs");
}

#[test]
fn the_job_macros_explain_themselves() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/job/pass/*.rs");
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
