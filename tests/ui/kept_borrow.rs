//! An export that would keep a borrow beyond its call: the hole through which a host's memory, or an
//! unloaded image's, could be reached. An alias does not hide it. Twin: pass/kept_borrow.rs

use std::sync::Mutex;

use hotswap_module::export;

type Kept = &'static str;

static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

#[export]
pub fn keep(name: Kept) {
    NAMES.lock().unwrap().push(name);
}

#[export]
pub fn keep_optional(name: Option<Kept>) {
    NAMES.lock().unwrap().extend(name);
}

#[export]
pub fn keep_named<'a: 'static>(name: &'a str) {
    NAMES.lock().unwrap().push(name);
}

fn main() {}
