//! A module that leaves things on threads: values with destructors, thread-specific keys, threads, a signal handler.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;

use hotswap_module::{export, host};

hotswap_module::module!();

/// Tells the host its name when it is dropped.
struct Teller(&'static str);

impl Drop for Teller {
    fn drop(&mut self) {
        tell(self.0);
    }
}

/// Registers another value when it is dropped.
struct Chain;

impl Drop for Chain {
    fn drop(&mut self) {
        tell("chain");
        LAST.with(|last| last.set(Some(Teller("last of the chain"))));
    }
}

thread_local! {
    static FIRST: RefCell<Option<Teller>> = const { RefCell::new(None) };
    static CHAIN: RefCell<Option<Chain>> = const { RefCell::new(None) };
    static LAST: Cell<Option<Teller>> = const { Cell::new(None) };
}

#[export]
pub fn version() -> u64 {
    1
}

/// Leaves a value on the calling thread.
#[export]
pub fn keeps_value() {
    FIRST.with(|first| *first.borrow_mut() = Some(Teller("value")));
}

/// Leaves a value whose destructor leaves another.
#[export]
pub fn keeps_chain() {
    CHAIN.with(|chain| *chain.borrow_mut() = Some(Chain));
}

/// Has the standard library know the calling thread, for which it takes a key.
#[export]
pub fn names_thread() -> Option<String> {
    std::thread::current().name().map(str::to_owned)
}

/// Starts a thread that leaves a value, and calls the host before it ends.
#[export]
pub fn starts_thread(name: String) {
    std::thread::spawn(move || {
        keeps_chain();
        tell(&name);
    });
}

unsafe extern "C" {
    fn pthread_key_create(
        key: *mut u32,
        destructor: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> c_int;
    fn pthread_key_delete(key: u32) -> c_int;
    fn pthread_setspecific(key: u32, value: *const c_void) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn atexit(handler: extern "C" fn()) -> c_int;
}

thread_local! {
    static KEY: Cell<u32> = const { Cell::new(0) };
}

/// Comes back twice.
unsafe extern "C" fn destroy(value: *mut c_void) {
    tell("key");
    let left = value.addr() - 1;
    if left > 0 {
        // SAFETY: a key of this module.
        unsafe { pthread_setspecific(KEY.get(), ptr::without_provenance(left)) };
    }
}

/// Gives the calling thread a value of a key whose destructor leaves one twice more.
#[export]
pub fn keeps_key() -> u32 {
    let mut key = 0;
    // SAFETY: room for a key, and a destructor that takes any value.
    let code = unsafe { pthread_key_create(&raw mut key, Some(destroy)) };
    assert_eq!(code, 0);
    KEY.set(key);
    // SAFETY: the key was just made.
    assert_eq!(unsafe { pthread_setspecific(key, ptr::without_provenance(3)) }, 0);
    key
}

/// Deletes a key; 0 when it was this module's.
#[export]
pub fn deletes_key(key: u32) -> i32 {
    // SAFETY: any number may be tried.
    unsafe { pthread_key_delete(key) }
}

extern "C" fn handle(_number: c_int) {}

/// Handles a signal from now on.
#[export]
pub fn installs_handler(number: i32) {
    // SAFETY: a handler that does nothing.
    unsafe { signal(number, handle as *const () as usize) };
}

/// Ignores it instead.
#[export]
pub fn removes_handler(number: i32) {
    const SIG_IGN: usize = 1;
    // SAFETY: as above.
    unsafe { signal(number, SIG_IGN) };
}

extern "C" fn ends() {
    tell("end");
}

/// Has a function run at the end.
#[export]
pub fn registers_end() {
    // SAFETY: it takes nothing and may run at any time.
    assert_eq!(unsafe { atexit(ends) }, 0);
}

fn tell(name: &str) {
    // While a thread ends nobody could take an error.
    let _ = host().call_with::<()>("tell", (name.to_owned(),));
}
