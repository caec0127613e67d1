//! Where the quick way into a version is closed: deep calls, ending threads, a kernel without membarrier. Their barriers are
//! their own, or they count references instead.

use std::cell::RefCell;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use hotswap_engine::{CallError, Engine, PinKind, VersionState};
use hotswap_tests::deadline::receive;
use hotswap_tests::isolated;
use hotswap_tests::prebuilt::{self, numbered};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("the current version answers")
}

/// The version before the current one is gone: nothing of what was called holds it.
fn assert_first_is_unloaded(engine: &Engine) {
    engine.offer(numbered(2)).expect("a module");
    assert_eq!(version(engine), 2);
    let states: Vec<_> = engine.versions().iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Unloaded, VersionState::Current]);
}

/// Eight calls have a slot; those inside them do without.
#[test]
fn calls_deeper_than_the_slots_count_references() {
    deep_calls();
}

fn deep_calls() {
    let engine = prebuilt::engine(&numbered(1)).open().expect("opens");
    for depth in [1u64, 7, 8, 9, 40] {
        let answer = engine.call_with::<Result<u64, CallError>>("nested", (depth,));
        assert_eq!(answer, Ok(Ok(1)), "{depth}");
    }
    assert_first_is_unloaded(&engine);
}

/// Calls, and tells what came of it, when its thread ends.
struct Last {
    engine: Engine,
    tell: Sender<u64>,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.tell.send(version(&self.engine)).expect("the test waits");
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// A destructor that was registered before the thread's first call runs after the thread gave its slots back.
#[test]
fn a_call_from_a_late_destructor_counts_references() {
    late_call();
}

fn late_call() {
    let engine = prebuilt::engine(&numbered(1)).open().expect("opens");
    let (tell, told) = bounded(1);
    let calling = engine.clone();
    let worker = thread::spawn(move || {
        LAST.with_borrow_mut(|last| *last = Some(Last { engine: calling.clone(), tell }));
        version(&calling)
    });
    assert_eq!(worker.join().expect("it only calls"), 1);
    assert_eq!(receive(&told, "the last call"), 1);
    assert_first_is_unloaded(&engine);
}

/// A call under way holds its version in a slot: it is named with its thread, and its end lets the version go.
#[test]
fn a_call_that_outlives_its_version_is_named_and_its_end_rings() {
    long_call();
}

fn long_call() {
    let (enter, entered) = bounded(0);
    let (leave, left) = bounded::<()>(0);
    let engine = prebuilt::engine(&numbered(1))
        .provide("wait", move || {
            enter.send(()).expect("the test waits");
            // Ends when the test drops the sender.
            let _ended = left.recv();
        })
        .open()
        .expect("opens");
    let events = engine.subscribe();
    let calling = engine.clone();
    let worker = thread::Builder::new()
        .name("worker-7".to_owned())
        .spawn(move || calling.call_with::<u64>("after", ("wait",)))
        .expect("a thread");
    receive(&entered, "the call");
    engine.offer(numbered(2)).expect("a module");
    assert_eq!(version(&engine), 2);
    let first = engine.versions().remove(0);
    assert_eq!(first.state, VersionState::Draining);
    let pins: Vec<_> = first.pins.iter().map(|pin| (pin.kind, pin.origin.as_str())).collect();
    assert_eq!(pins, [(PinKind::Call, "on worker-7")]);
    drop(leave);
    assert_eq!(worker.join().expect("it only calls"), Ok(1));
    hotswap_tests::deadline::event(&events, "the end of version 1", |event| {
        matches!(event, hotswap_engine::Event::Unloaded { .. }).then_some(())
    });
    let states: Vec<_> = engine.versions().iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Unloaded, VersionState::Current]);
}

/// From here on, and in all threads and processes that this one starts, membarrier is a system call that the kernel does not
/// have: as on an old one, or in a sandbox.
fn refuse_membarrier() {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let is_membarrier = libc::sock_filter {
        jf: 1,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_membarrier as u32)
    };
    let mut filter = [
        // The number of the system call, which comes first.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        is_membarrier,
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: it takes numbers only.
    let promised = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program is four statements long, and is copied.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    assert_eq!((promised, set), (0, 0), "{}", std::io::Error::last_os_error());
}

/// Every call has a full barrier of its own then, and a swap finds it in its slot all the same.
#[test]
fn without_membarrier_every_call_has_a_barrier_of_its_own() {
    isolated("without_membarrier_every_call_has_a_barrier_of_its_own", || {
        refuse_membarrier();
        let query =
            rustix::thread::membarrier(rustix::thread::MembarrierCommand::RegisterPrivateExpedited);
        assert_eq!(query, Err(rustix::io::Errno::NOSYS));
        long_call();
        deep_calls();
        late_call();
        let engine = prebuilt::engine(&numbered(1)).open().expect("opens");
        let handle = engine.function::<fn() -> u64>("version").expect("it is there");
        assert_eq!(handle.call(), Ok(1));
        engine.offer(numbered(2)).expect("a module");
        assert_eq!(handle.call(), Ok(2));
    });
}
