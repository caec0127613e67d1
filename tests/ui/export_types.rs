//! Types that cannot be arguments or results, hidden from the macro by their names. Twin: pass/export_types.rs

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use hotswap_module::export;

type Callback = fn(u64) -> u64;
type Name = &'static str;

pub struct Plain;

#[export]
pub fn count(words: HashMap<String, u64>) -> u64 {
    words.values().sum()
}

#[export]
pub fn callback(call: Callback) -> u64 {
    call(1)
}

#[export]
pub fn share(text: Rc<String>) -> usize {
    text.len()
}

#[export]
pub fn nested(texts: &[&str]) -> usize {
    texts.len()
}

#[export]
pub fn plain(_: &Plain) {}

#[export]
pub fn name() -> Name {
    "name"
}

#[export]
pub fn either() -> Cow<'static, str> {
    Cow::Borrowed("static")
}

#[export]
pub fn counted() -> HashMap<String, u64> {
    HashMap::new()
}

fn main() {}
