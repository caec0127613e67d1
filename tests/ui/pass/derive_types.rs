//! Twin of ../derive_types.rs.

use std::collections::{BTreeMap, BTreeSet};

use hotswap_module::Abi;

#[derive(Abi)]
struct Map(BTreeMap<String, u64>);

#[derive(Abi)]
struct Set(BTreeSet<String>);

#[derive(Abi)]
struct Named(String);

#[derive(Abi)]
struct Boxed(Box<str>);

#[derive(Abi)]
struct Failed(Result<u64, String>);

#[derive(Abi)]
struct Plain;

#[derive(Abi)]
struct Holds(Vec<Plain>);

fn main() {}
