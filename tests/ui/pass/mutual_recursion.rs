//! Twin of ../mutual_recursion.rs.

use hotswap_module::{Abi, export};

#[derive(Abi)]
struct Folder {
    entries: Vec<Entry>,
}

#[derive(Abi)]
enum Entry {
    File(String),
    Folder(#[abi(by_name)] Box<Folder>),
}

#[export]
fn entries(folder: Folder) -> Vec<Entry> {
    folder.entries
}

fn main() {}
