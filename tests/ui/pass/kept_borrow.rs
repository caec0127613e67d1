//! Twin of ../kept_borrow.rs.

use std::sync::Mutex;

use hotswap_module::export;

type Borrowed<'a> = &'a str;

static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[export]
pub fn keep(name: Borrowed<'_>) {
    NAMES.lock().unwrap().push(name.to_owned());
}

#[export]
pub fn keep_optional(name: Option<Borrowed<'_>>) {
    NAMES.lock().unwrap().extend(name.map(str::to_owned));
}

#[export]
pub fn keep_named<'a>(name: &'a str) {
    NAMES.lock().unwrap().push(name.to_owned());
}

fn main() {}
