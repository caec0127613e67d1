//! A module that uses threads and keys as C11 has them.

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use hotswap_module::{export, host};

hotswap_module::module!();

#[export]
pub fn version() -> u64 {
    1
}

fn tell(name: &str) {
    // While a thread ends nobody could take an error.
    let _ = host().call_with::<()>("tell", (name.to_owned(),));
}

unsafe extern "C" {
    fn thrd_create(
        thread: *mut usize,
        start: extern "C" fn(*mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn thrd_join(thread: usize, result: *mut c_int) -> c_int;
    fn thrd_detach(thread: usize) -> c_int;
    fn tss_create(key: *mut c_uint, destructor: Option<extern "C" fn(*mut c_void)>) -> c_int;
    fn tss_delete(key: c_uint);
    fn tss_get(key: c_uint) -> *mut c_void;
    fn tss_set(key: c_uint, value: *mut c_void) -> c_int;
}

extern "C" fn negates(number: *mut c_void) -> c_int {
    -(number.addr() as c_int)
}

/// A thread's result, which may be below zero.
#[export]
pub fn joins(number: u64) -> i32 {
    let (mut thread, mut result) = (0, 0);
    let argument = ptr::without_provenance_mut(number as usize);
    // SAFETY: room for a thread, and a routine that takes any argument.
    assert_eq!(unsafe { thrd_create(&raw mut thread, negates, argument) }, 0);
    // SAFETY: just made, and joined once.
    assert_eq!(unsafe { thrd_join(thread, &raw mut result) }, 0);
    result
}

extern "C" fn waits(_: *mut c_void) -> c_int {
    tell("wait");
    0
}

/// A thread that nobody joins.
#[export]
pub fn detaches() {
    let mut thread = 0;
    // SAFETY: as above.
    assert_eq!(unsafe { thrd_create(&raw mut thread, waits, ptr::null_mut()) }, 0);
    // SAFETY: just made.
    assert_eq!(unsafe { thrd_detach(thread) }, 0);
}

extern "C" fn destroy(_: *mut c_void) {
    tell("key");
}

thread_local! {
    static KEY: Cell<c_uint> = const { Cell::new(0) };
}

/// Gives the calling thread a value; what it reads back.
#[export]
pub fn keeps_key(value: u64) -> u64 {
    let mut key = 0;
    // SAFETY: room for a key, and a destructor that takes any value.
    assert_eq!(unsafe { tss_create(&raw mut key, Some(destroy)) }, 0);
    KEY.set(key);
    // SAFETY: just made.
    assert_eq!(unsafe { tss_set(key, ptr::without_provenance_mut(value as usize)) }, 0);
    // SAFETY: as above.
    unsafe { tss_get(key) }.addr() as u64
}

/// Gives the key back: its values are destroyed by nobody.
#[export]
pub fn deletes_key() {
    // SAFETY: made by `keeps_key` on this thread.
    unsafe { tss_delete(KEY.get()) };
}
