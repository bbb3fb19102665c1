//! The generated code relies on no name that a user may have taken.
#![allow(dead_code)]

mod runnel {}
struct Result;
struct String;
struct Option;
struct Vec;
trait Record {}
trait Codec {}

#[derive(::runnel::Record)]
#[record(primitive)]
struct Action {
    row: u8,
    fields: bool,
    limits: f64,
    members: i8,
}
