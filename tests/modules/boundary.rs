//! Everything that may cross the boundary, out and in: each function gives back what it gets, changed a little.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::ffi::OsString;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use hotswap_module::{Abi, export, host, interface};

#[interface]
pub trait Drawing {
    fn draw(x: f32, y: f32) -> String;
}

hotswap_module::module!(needs = [dyn Drawing]);

/// A struct with fields of several sizes.
#[derive(Abi)]
pub struct Record {
    pub small: u8,
    pub text: String,
    pub pairs: Vec<(u16, f64)>,
    pub inner: Inner,
}

#[derive(Abi)]
pub struct Inner(pub u32, pub Option<Box<u64>>);

/// An enum with every kind of variant.
#[derive(Abi)]
pub enum Choice {
    Nothing,
    Text(String),
    Pair { left: u64, right: Vec<u8> },
}

/// A type that mentions itself.
#[derive(Abi)]
pub struct Tree {
    pub value: u64,
    pub children: Vec<Tree>,
}

macro_rules! echoes {
    ($($name:ident: $ty:ty;)*) => {$(
        #[export]
        pub fn $name(value: $ty) -> $ty {
            value
        }
    )*};
}

echoes! {
    echo_u8: u8;
    echo_u16: u16;
    echo_u32: u32;
    echo_u64: u64;
    echo_u128: u128;
    echo_usize: usize;
    echo_i8: i8;
    echo_i16: i16;
    echo_i32: i32;
    echo_i64: i64;
    echo_i128: i128;
    echo_isize: isize;
    echo_f32: f32;
    echo_f64: f64;
    echo_bool: bool;
    echo_char: char;
    echo_unit: ();
    echo_string: String;
    echo_vec: Vec<String>;
    echo_box: Box<u64>;
    echo_deque: VecDeque<u8>;
    echo_map: BTreeMap<String, u64>;
    echo_set: BTreeSet<i32>;
    echo_heap: BinaryHeap<u8>;
    echo_option: Option<String>;
    echo_result: Result<u64, String>;
    echo_array: [u16; 3];
    echo_tuple: (u8, String, f32);
    echo_range: Range<u32>;
    echo_nonzero: NonZeroU32;
    echo_duration: Duration;
    echo_path: PathBuf;
    echo_os_string: OsString;
    echo_phantom: PhantomData<u8>;
    echo_record: Record;
    echo_choice: Choice;
    echo_tree: Tree;
}

#[export]
pub const LIMIT: u64 = 7;

#[export]
pub const RATIO: f64 = 0.5;

#[export]
pub fn text_length(text: &str) -> usize {
    text.len()
}

#[export]
pub fn maybe_length(text: Option<&str>) -> Option<usize> {
    text.map(str::len)
}

#[export]
pub fn slice_sum(values: &[u64]) -> u64 {
    values.iter().sum()
}

#[export]
pub fn total(record: &Record) -> u64 {
    u64::from(record.small) + u64::from(record.inner.0)
}

#[export]
pub fn grow(record: &mut Record) {
    record.text.push_str(" and more");
    record.pairs.push((9, 0.25));
    record.inner.1 = Some(Box::new(3));
}

#[export]
pub fn zero(values: &mut [u64]) {
    values.fill(0);
}

#[export]
pub fn replace(text: &mut String) -> String {
    std::mem::replace(text, "from the module".to_owned())
}

#[export]
pub fn many(a: u8, b: u16, c: u32, d: u64, e: &str, f: f32, g: bool, h: char) -> String {
    format!("{a} {b} {c} {d} {e} {f} {g} {h}")
}

#[export]
pub fn drawn(x: f32, y: f32) -> String {
    host().call_with("draw", (x, y)).expect("asked for at load")
}

#[export]
pub fn no_arguments() {}

#[export]
pub fn logs(text: &str) {
    log::warn!(target: "boundary", "{text}");
    log::trace!(target: "boundary", "below the host's level: {text}");
}

#[export]
pub fn allocates(bytes: u64) -> Vec<u8> {
    vec![1; usize::try_from(bytes).expect("fits")]
}

#[export]
pub fn frees(block: Vec<u8>) -> u64 {
    block.len() as u64
}
