//! Twin of ../derive_tokens.rs.

use hotswap_module::Abi;

#[derive(Abi)]
struct Callback {
    name: String,
}

#[derive(Abi)]
struct Owned {
    name: String,
    bytes: Option<Vec<u8>>,
}

#[derive(Abi)]
enum Draw {
    Circle,
    Square,
}

#[derive(Abi)]
struct Index(usize);

#[derive(Abi)]
enum Either {
    Number(u64),
    Bytes([u8; 8]),
}

#[derive(Abi)]
#[repr(C)]
struct InOrder {
    number: u64,
}

#[derive(Abi)]
struct Spelt {
    #[abi(by_name)]
    number: u64,
}

fn main() {}
