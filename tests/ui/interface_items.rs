//! What an interface cannot contain. Twin: pass/interface_items.rs

use hotswap_module::interface;

#[interface]
pub trait Method {
    fn step(&mut self);
}

#[interface]
pub trait Body {
    fn f1() {}
}

#[interface]
pub trait Reserved {
    fn call(name: &str);
}

#[interface]
pub trait Generic<T> {
    fn f1(value: T);
}

#[interface]
pub trait GenericFunction {
    fn f1<T>(value: T);
}

#[interface]
pub trait Async {
    async fn f1();
}

#[interface]
pub trait Supertrait: Send {
    fn f1();
}

#[interface]
pub trait Constant {
    const LIMIT: u64;
}

#[interface]
pub trait Associated {
    type Item;
}

#[interface]
pub trait Borrowed {
    fn first(text: &str) -> &str;
}

#[interface(name = "x")]
pub trait Options {
    fn f1();
}

#[interface]
pub struct NoTrait;

fn main() {}
