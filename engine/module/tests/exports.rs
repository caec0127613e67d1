//! What `#[export]` writes, called as an engine calls it: by record and shim.

#![expect(missing_docs, reason = "a module's items are public, and these have no readers")]

use std::mem::MaybeUninit;
use std::panic;
use std::sync::Once;

use hotswap_module::__private::{
    Arguments, Discard, DiscardAny as _, DiscardDebug as _, DiscardDisplay as _, Kind, Shim,
    Signature, Status, Typed,
};
use hotswap_module::{Abi, Argument, export, interface};

hotswap_module::module!();

#[export]
pub fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[export]
pub const LIMIT: u64 = 7;

#[export(name = "other")]
fn private_and_renamed(mut values: Vec<u8>, (extra, _): (u8, u8)) -> Vec<u8> {
    values.push(extra);
    values
}

#[export]
pub fn longer<'a>(a: &'a str, b: Option<&'a str>, count: &mut u64) -> String {
    *count += 1;
    [a, b.unwrap_or("")].into_iter().max_by_key(|text| text.len()).expect("two texts").to_owned()
}

type Text<'a> = &'a str;

#[export]
pub fn length(text: Text<'_>) -> usize {
    text.len()
}

#[export]
pub fn elided(text: Text) -> usize {
    text.len()
}

#[export]
pub fn r#type() -> u8 {
    3
}

#[deprecated]
#[export]
pub fn old() {}

#[cfg(any())]
#[export]
pub fn compiled_out_above() {}

#[export]
#[cfg(any())]
pub fn compiled_out_below(_: NoSuchType) {}

#[export]
pub fn explode(armed: bool) -> u64 {
    assert!(!armed, "boom");
    1
}

#[export]
pub fn refuse() -> Result<(), String> {
    Err("no".to_owned())
}

#[expect(clippy::too_many_arguments, reason = "the most that an export may have")]
#[export]
pub fn eight(a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64) -> i128 {
    i128::from(a)
        + i128::from(b)
        + i128::from(c)
        + i128::from(d)
        + i128::from(e)
        + i128::from(f)
        + i128::from(g)
        + i128::from(h)
}

#[export]
pub fn draws() -> Result<u8, hotswap_module::CallError> {
    let _ = hotswap_module::host().call("clear");
    hotswap_module::host().call_with::<u8>("draw", (1.0_f32,))
}

pub mod inner {
    use hotswap_module::export;

    #[export]
    pub fn from_inside() -> u64 {
        super::add(1, 1)
    }
}

#[interface]
pub trait Weather {
    fn noon(day: u32) -> f64;
}

#[export]
impl Weather for Exports {
    fn noon(day: u32) -> f64 {
        f64::from(day) / 10.0
    }
}

fn find(name: &str) -> (Shim, &'static Signature) {
    let linked = exports();
    let export = linked
        .exports()
        .iter()
        .find(|export| export.record.kind == Kind::Export && export.record.name == name)
        .unwrap_or_else(|| panic!("{name} is not exported"));
    (export.shim.expect("exports have a shim"), export.signature.expect("exports have a signature"))
}

/// Calls as an engine does, after the same comparison of signatures.
fn call<A: Arguments, R: Abi>(name: &str, arguments: A) -> Result<R, Status> {
    let (shim, signature) = find(name);
    assert_eq!(signature.text(), Typed::<A, R>::SIGNATURE.text());
    let mut packed = std::mem::ManuallyDrop::new(arguments.pack());
    let mut out = MaybeUninit::<R>::uninit();
    // SAFETY: the signatures are equal: the arguments are packed as it says, and `out` has room for the result.
    let code = unsafe { shim((&raw mut packed).cast(), out.as_mut_ptr().cast()) };
    match Status::from_code(code) {
        // SAFETY: the shim says that it wrote the result.
        Status::Done => Ok(unsafe { out.assume_init() }),
        other => Err(other),
    }
}

/// Calls a function without arguments and drops its result.
fn call_and_drop(name: &str) -> Status {
    let (shim, signature) = find(name);
    assert!(signature.arguments.is_empty());
    // SAFETY: no arguments are read, and a null `out` drops the result.
    Status::from_code(unsafe { shim(std::ptr::dangling_mut(), std::ptr::null_mut()) })
}

fn quietly<R>(body: impl FnOnce() -> R) -> R {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| panic::set_hook(Box::new(|_| {})));
    body()
}

/// An export may stand inside of a function.
pub fn outer() {
    #[export]
    fn within() -> u8 {
        9
    }
}

#[test]
fn every_export_is_found_and_nothing_else() {
    let names = [
        "LIMIT",
        "add",
        "draws",
        "eight",
        "elided",
        "explode",
        "from_inside",
        "length",
        "longer",
        "noon",
        "old",
        "other",
        "refuse",
        "type",
        "within",
    ];
    assert_eq!(exports().names(), names);
}

#[test]
fn calls_arrive_with_arguments_and_result() {
    assert_eq!(call("add", (2_u64, 3_u64)), Ok(5_u64));
    assert_eq!(call("LIMIT", ()), Ok(7_u64));
    assert_eq!(call("other", (vec![1_u8], (2_u8, 3_u8))), Ok(vec![1_u8, 2]));
    assert_eq!(call("length", ("four",)), Ok(4_usize));
    assert_eq!(call("elided", ("four",)), Ok(4_usize));
    assert_eq!(call("type", ()), Ok(3_u8));
    assert_eq!(call("from_inside", ()), Ok(2_u64));
    assert_eq!(call("noon", (15_u32,)), Ok(1.5_f64));
    let sum = call("eight", (1_u8, 2_u16, 3_u32, 4_u64, 5_i8, 6_i16, 7_i32, 8_i64));
    assert_eq!(sum, Ok(36_i128));
}

#[test]
fn borrows_reach_the_caller_s_own_values() {
    let mut count = 1_u64;
    let text = String::from("longest");
    assert_eq!(call("longer", ("short", Some(&*text), &mut count)), Ok("longest".to_owned()));
    assert_eq!(count, 2);
}

#[test]
fn a_panic_is_a_status() {
    quietly(|| {
        assert_eq!(call::<_, u64>("explode", (true,)), Err(Status::Panicked));
        assert_eq!(call("explode", (false,)), Ok(1_u64));
    });
}

#[test]
fn a_dropped_result_is_done_and_a_dropped_error_returned() {
    assert_eq!(call_and_drop("LIMIT"), Status::Done);
    assert_eq!(call_and_drop("old"), Status::Done);
    assert_eq!(call_and_drop("refuse"), Status::Returned);
    assert_eq!(call("refuse", ()), Ok(Err::<(), _>("no".to_owned())));
}

#[test]
#[expect(
    clippy::needless_borrow,
    reason = "the borrows are what chooses, as in the code of `#[export]`"
)]
fn a_dropped_error_is_told_by_display_or_debug_or_not_at_all() {
    #[derive(Debug)]
    struct OnlyDebug;
    struct Mute;

    let display = (&&&Discard::<Result<u8, String>>::new()).failure();
    assert_eq!(display(&Err("a \"text\"".to_owned())).as_deref(), Some("a \"text\""));
    assert_eq!(display(&Ok(1)), None);
    let debug = (&&&Discard::<Result<u8, OnlyDebug>>::new()).failure();
    assert_eq!(debug(&Err(OnlyDebug)).as_deref(), Some("OnlyDebug"));
    let mute = (&&&Discard::<Result<u8, Mute>>::new()).failure();
    assert_eq!(mute(&Err(Mute)), None);
    let plain = (&&&Discard::<Option<u8>>::new()).failure();
    assert_eq!(plain(&None), None);
}

#[test]
fn names_asked_of_the_host_are_needs() {
    let linked = exports();
    let mut needs: Vec<_> = linked
        .exports()
        .iter()
        .filter(|export| export.record.kind == Kind::Need)
        .map(|export| (export.record.name.as_str(), export.shim.is_some()))
        .collect();
    needs.sort_unstable();
    assert_eq!(needs, [("clear", false), ("draw", false)]);
}

#[test]
fn records_tell_signature_and_owner() {
    let linked = exports();
    let record = |name: &str| {
        &linked.exports().iter().find(|export| export.record.name == name).expect("exported").record
    };
    assert_eq!(record("add").signature, "(u64#8/8,u64#8/8)->u64#8/8");
    assert_eq!(record("add").hash, Typed::<(u64, u64), u64>::HASH);
    assert_eq!(record("add").owner, module_path!());
    assert_eq!(record("from_inside").owner, format!("{}::inner", module_path!()));
    assert_eq!(record("length").signature, Typed::<(&str,), usize>::SIGNATURE.text());
}

#[test]
fn an_argument_s_description_ignores_its_lifetime() {
    assert_eq!(<&'static str as Argument>::DESC.name, "&str");
}
