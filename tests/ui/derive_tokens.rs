//! Fields and items that `#[derive(Abi)]` refuses by their tokens. Twin: pass/derive_tokens.rs

use hotswap_module::Abi;

#[derive(Abi)]
struct Callback {
    call: fn(u64) -> u64,
}

#[derive(Abi)]
struct Static {
    name: &'static str,
    bytes: Option<&'static [u8]>,
}

#[derive(Abi)]
struct Object {
    draw: Box<dyn Fn()>,
}

#[derive(Abi)]
struct Raw(*const u8);

#[derive(Abi)]
struct Borrowing<'a> {
    name: &'a str,
}

#[derive(Abi)]
enum Variants {
    Call(fn()),
}

#[derive(Abi)]
union Either {
    number: u64,
    bytes: [u8; 8],
}

#[derive(Abi)]
#[repr(C, packed)]
struct Packed {
    number: u64,
}

#[derive(Abi)]
struct Misspelt {
    #[abi(byname)]
    number: u64,
}

#[derive(Abi)]
#[abi(by_name)]
struct OnTheType(u64);

fn main() {}
