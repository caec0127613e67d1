//! Fields whose types may point into a module's image, one per type. Twin: pass/derive_types.rs

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use hotswap_module::Abi;

type Callback = fn(u64) -> u64;
type Name = &'static str;

#[derive(Abi)]
struct Map(HashMap<String, u64>);

#[derive(Abi)]
struct Set(HashSet<String>);

#[derive(Abi)]
struct Called(Callback);

#[derive(Abi)]
struct Named(Name);

#[derive(Abi)]
struct Either(Cow<'static, str>);

#[derive(Abi)]
struct Shared(Rc<String>);

#[derive(Abi)]
struct SharedText(Arc<str>);

#[derive(Abi)]
struct Locked(Mutex<u64>);

#[derive(Abi)]
struct Celled(RefCell<u64>);

#[derive(Abi)]
struct Failed(std::io::Error);

struct Plain;

#[derive(Abi)]
struct Holds(Vec<Plain>);

fn main() {}
