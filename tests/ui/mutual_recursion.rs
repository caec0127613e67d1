//! Two types that contain each other: the error names the attribute. Twin: pass/mutual_recursion.rs

use hotswap_module::Abi;

#[derive(Abi)]
struct Folder {
    entries: Vec<Entry>,
}

#[derive(Abi)]
enum Entry {
    File(String),
    Folder(Box<Folder>),
}

fn main() {}
