//! Every type a field may have, by every name it may have.
#![deny(warnings)]

use runnel::Record;

#[derive(Record)]
#[record(primitive)]
pub struct Everything {
    pub a: i8,
    pub b: i16,
    pub c: i32,
    pub d: i64,
    pub e: i128,
    pub f: isize,
    pub g: u8,
    pub h: u16,
    pub i: u32,
    pub j: u64,
    pub k: u128,
    pub l: usize,
    pub m: f32,
    pub n: f64,
    pub o: bool,
    pub p: String,
    pub q: std::string::String,
    pub r: Vec<u8>,
    pub s: std::vec::Vec<u8>,
    pub r#type: u8,
}

const _: () = assert!(Everything::PRIMITIVE);
