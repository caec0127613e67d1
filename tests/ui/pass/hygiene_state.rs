//! The macros of state mean std's types, whatever the crate calls its own. Its own primitive types would be too much for
//! serde's derives.

#![no_implicit_prelude]
#![allow(non_camel_case_types, dead_code)]

use ::hotswap_module::{State, export as publish, migrate, state};

struct Result;
struct Option;
struct String;
struct Vec;
struct Some;
struct None;
struct Ok;
struct Err;
struct Signature;
trait Sized {}
trait Abi {}
trait StateType {}
trait Serialize {}
trait Deserialize {}
trait Outcome {}
mod core {}
mod std {}
mod serde {}
mod hotswap_module {}

type Number = ::core::primitive::u64;
type Text<'a> = &'a ::core::primitive::str;

fn serve() {}
fn automatic() {}

#[state(version = 3, check = checked)]
#[migrate(auto, from = 2)]
#[derive(::std::default::Default)]
struct Counters {
    calls: Number,
    #[migrate(renamed = "name")]
    title: ::std::string::String,
    inside: ::std::vec::Vec<Inside>,
}

fn checked(_: &Counters) -> ::std::result::Result<(), Text<'static>> {
    ::std::result::Result::Ok(())
}

#[state(part)]
enum Inside {
    Nothing,
    Number { number: Number },
}

#[state(version = 1, name = "Counters", init = first)]
struct Before(Number);

fn first() -> Before {
    Before(1)
}

#[migrate(from = 1, down = back)]
fn step(old: Before) -> ::std::result::Result<Counters, Text<'static>> {
    ::std::result::Result::Ok(Counters { calls: old.0, ..::std::default::Default::default() })
}

fn back(new: Counters) -> Before {
    Before(new.calls)
}

#[publish]
fn count(counters: State<Counters>, add: Number) -> Number {
    let mut counters = counters.lock();
    counters.calls += add;
    counters.calls
}

fn main() {}
