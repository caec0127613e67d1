//! A module with a number, and functions for whatever tests need to happen inside a module.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use hotswap_module::{CallError, engine, export, host};

hotswap_module::module!();

const VERSION: u64 = 1;

#[export]
pub fn version() -> u64 {
    VERSION
}

/// The other half of a pair with `version`: never of another version within one guard.
#[export]
pub fn other() -> u64 {
    VERSION
}

/// Counts its own calls in a static.
#[export]
pub fn count() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::SeqCst) + 1
}

/// Calls the host function `name`, which may block, and answers from this version afterwards.
#[export]
pub fn after(name: &str) -> u64 {
    tell(name);
    VERSION
}

/// As `after`; then asks the engine which version is current.
#[export]
pub fn after_and_current(name: &str) -> (u64, u64) {
    tell(name);
    (VERSION, engine().call_with("version", ()).expect("the engine answers"))
}

/// Has the host offer a library in the middle of this call.
#[export]
pub fn offers(path: &str) -> (u64, u64) {
    (VERSION, ask_for_offer(path))
}

/// Asks the engine for a reload in the middle of this call.
#[export]
pub fn reloads() -> Result<u64, CallError> {
    engine().reload()
}

/// Goes through the engine `depth` times, to itself.
#[export]
pub fn nested(depth: u64) -> Result<u64, CallError> {
    if depth == 0 { Ok(VERSION) } else { engine().call_with("nested", (depth - 1,))? }
}

#[export]
pub fn panics_with_str() {
    panic!("a plain text");
}

#[export]
pub fn panics_with_string(number: u64) -> u64 {
    panic!("number {number}");
}

#[export]
pub fn panics_with_number() {
    std::panic::panic_any(7_u32);
}

struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Panics with a value whose drop panics.
#[export]
pub fn panics_with_grenade() {
    std::panic::panic_any(Grenade);
}

#[export]
pub fn fails() -> Result<u64, String> {
    Err("it failed on purpose".to_owned())
}

/// Starts a thread that ends when the host function `name` returns.
#[export]
pub fn starts_thread(name: String) {
    std::thread::spawn(move || tell(&name));
}

static JOINABLE: Mutex<Vec<(u64, JoinHandle<()>)>> = Mutex::new(Vec::new());

/// Starts a thread that leaves a value and ends when the host function `name` returns; `joins` waits for it, by this number.
#[export]
pub fn starts_joinable(number: u64, name: String) {
    let thread = std::thread::spawn(move || {
        keeps_local();
        tell(&name);
    });
    JOINABLE.lock().expect("no panic").push((number, thread));
}

#[export]
pub fn joins(number: u64) -> bool {
    let mut threads = JOINABLE.lock().expect("no panic");
    let at = threads.iter().position(|(known, _)| *known == number);
    let thread = at.map(|at| threads.swap_remove(at).1);
    // What a static holds at the end is never freed.
    threads.shrink_to_fit();
    drop(threads);
    thread.is_some_and(|thread| thread.join().is_ok())
}

/// As `starts_thread`, without the standard library's threads: these take keys that hold a version for good.
#[export]
pub fn starts_bare_thread(name: String) {
    unsafe extern "C" {
        fn pthread_create(
            thread: *mut usize,
            attributes: *const u8,
            start: extern "C" fn(*mut String) -> *mut u8,
            argument: *mut String,
        ) -> i32;
        fn pthread_detach(thread: usize) -> i32;
    }
    extern "C" fn start(name: *mut String) -> *mut u8 {
        // SAFETY: made below, taken once.
        let name = unsafe { Box::from_raw(name) };
        tell(&name);
        std::ptr::null_mut()
    }
    let mut thread = 0;
    let name = Box::into_raw(Box::new(name));
    // SAFETY: a place for the thread, default attributes, a routine and its argument.
    let code = unsafe { pthread_create(&raw mut thread, std::ptr::null(), start, name) };
    assert_eq!(code, 0);
    // SAFETY: just made, and nobody joins it.
    unsafe { pthread_detach(thread) };
}

/// Starts a thread that panics.
#[export]
pub fn starts_panicking_thread() {
    std::thread::spawn(|| panic!("on a thread of its own"));
}

struct TellsWhenDropped;

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        // While a thread ends nobody could take an error.
        let _ = host().call("local_dropped");
    }
}

/// Leaves a value with a destructor on the calling thread.
#[export]
pub fn keeps_local() {
    thread_local! {
        static LOCAL: TellsWhenDropped = const { TellsWhenDropped };
    }
    LOCAL.with(|_| ());
}

/// A block of this many bytes, for the host to free.
#[export]
pub fn allocates(bytes: u64) -> Vec<u8> {
    vec![1; usize::try_from(bytes).expect("fits")]
}

/// Frees what the host gives.
#[export]
pub fn frees(block: Vec<u8>) -> u64 {
    block.len() as u64
}

/// A log record of level `warn` with a target of its own.
#[export]
pub fn logs(text: &str) {
    log::warn!(target: "numbered", "{text}");
}

#[export]
pub fn prints(text: &str) {
    print!("{text}");
}

// Not in exports: a literal name there would be asked of every host at load.

fn ask_for_offer(path: &str) -> u64 {
    host().call_with("offer", (path.to_owned(),)).expect("the host offers")
}

fn tell(name: &str) {
    host().call_with::<()>(name, ()).expect("the host answers");
}
