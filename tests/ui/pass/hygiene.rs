//! The macros mean std's types, whatever the crate calls its own.

#![no_implicit_prelude]
#![allow(non_camel_case_types, dead_code)]

use ::hotswap_module::{Abi as Derive, export as publish, interface as shared};

struct Result;
struct Option;
struct String;
struct Vec;
struct u8;
struct u32;
struct u64;
struct usize;
struct i128;
struct bool;
struct str;
struct Some;
struct None;
struct Ok;
struct Err;
trait Sized {}
trait Abi {}
trait Argument {}
trait Caller {}
mod core {}
mod std {}
mod hotswap_module {}

type Number = ::core::primitive::u64;
type Text<'a> = &'a ::core::primitive::str;

fn run() {}
fn body() {}
fn shim() {}

#[derive(Derive)]
struct Tree {
    value: Number,
    children: ::std::vec::Vec<Tree>,
}

#[derive(Derive)]
enum Color {
    Red,
    Green,
}

#[derive(Derive)]
#[repr(u16)]
enum Numbered {
    A(Number) = 3,
    B,
}

#[publish]
fn add(a: Number, arguments: Number, out: Text<'_>) -> Number {
    a + arguments + out.len() as Number
}

#[publish]
fn packed() {}

#[publish]
const RECORD: Number = 1;

#[shared]
pub trait Sample {
    fn add(a: Number, b: Number, name: Text<'_>) -> Number;
    fn nothing();
}

fn main() {}
