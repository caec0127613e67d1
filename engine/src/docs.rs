//! Prose that compiles: what is promised, and what is not.

/// # Limits
///
/// Read before the features.
///
/// * **A module is native code of yours.** A segmentation fault, a stack overflow, an `abort` or an endless
///   loop in it is one in your process.
/// * **Linux with glibc** on x86-64 and aarch64 is what is supported; x86-64 is what the tests run on. The machine code for
///   aarch64 is written and untested.
/// * **One compiler.** Host and module must be built by the very same rustc: Rust has no stable layout. Anything else is
///   refused before it is loaded, with both compilers named.
/// * **`panic = "abort"`** in the module's profile is refused: a panic would end the host.
/// * **Statics of a module start anew** with every version: each version is loaded from a file of its own. What must outlive a
///   version is [`state`](crate::docs::state).
/// * **A migration holds two copies** of what it migrates, and its bytes; the old one goes with the version that it belongs to.
/// * **A guard of a cell that is forgotten** (`std::mem::forget`) leaves the cell locked for good, as with any lock.
/// * **A module thread, a signal handler, a thread-local value with a destructor** holds its version: until it ended, until
///   another handler took its place, until the thread that has the value ended or made its next call through any
///   engine. A guard's calls do not count as such. A thread that never calls again and never ends holds it for ever.
///   `status()` names the holders.
/// * **Thread-specific keys**: a process has 1,024, and `std::thread` in a module takes one or two per version, which go with
///   it. When versions that are held have taken 768, newcomers are refused by name and the current version goes on.
/// * **What a build reads from the environment** (`env!`, a build script that looks at the machine) is no part of the
///   fingerprint. What was built before is taken from the store, in later processes too; `rebuild_always` on the builder
///   builds afresh in each process.
/// * **The way back to a library from elsewhere** (a prebuilt one, or one that was offered) that is not mapped any more needs the very
///   bytes where they lay: overwritten, it is refused. What the engine built lies in the store.
/// * **Sixty-four versions** back is how far an engine remembers; the store keeps the thirty-two libraries that were used last,
///   and what is neither mapped nor there cannot be gone back to.
/// * **A debugger shows no lines** of a module that was built as by default
///   (`Profile::Hot`); with `Profile::Dev` it does.
/// * **Panics of linked modules** are told without their location, and the program's own panic hook prints them.
/// * **A host function that owns its engine** (a clone inside the closure given to `provide`) keeps that engine for ever:
///   hand it a `Weak` of something of yours instead.
/// * **`hotswap-module` under another name** in Cargo.toml does not work: the macros name it `::hotswap_module`.
/// * **Text that a module printed without a newline** is written when its version is unloaded; a process that exits
///   without dropping its engine may lose it. A module has its own buffer for standard output.
/// * **Log lines of a module** go through the host's logger if the module uses `log` 0.4.
/// * **An export that a dependency crate has** is an export of the module only if it is named:
///   `module!(uses = [that_crate])`.
/// * **`host().call_with("draw", ..)`** is checked at load where it stands with a literal name inside an exported
///   function; elsewhere name the interface, `module!(needs = [dyn Drawing])`, or the call reports it.
/// * **Host functions take owned arguments**: a text arrives as `String`.
/// * **At most eight arguments**; more are better a struct with `#[derive(Abi)]`.
/// * **What hangs for ever keeps a thread**: a backend that does not end when it is told to, a logger or a disk that does not
///   answer, a load hook past its deadline. The engine goes on, and ends, without it.
/// * **A host built with `panic = "abort"`** ends at a panic of the library itself, as at any other; supervision needs unwinding.
/// * **True exhaustion of memory** aborts the process, as everywhere in Rust.
/// * **Forking** the host leaves the child without the monitor's and the swapper's threads: it can call, in the version that
///   was current, and what asks for a swap is an error at once (`Forked`); `pause`, `resume` and `wake` do nothing there. Dropping
///   the engine in the child ends nothing in the parent. Fork where no swap is under way: a lock that another thread
///   holds at that moment stays locked in the child, here as in every library.
pub mod limits {}

/// # Unloading
///
/// A version is unmapped when the last reference to it is gone: guards and threads that it started each hold one. A call names its version in a slot of its thread instead: the swapper keeps the reference of a
/// replaced version until no slot names it, and whoever leaves one rings. Taking the last reference is the proof; no counter
/// is polled.
/// Whoever drops it does not unmap but sends the image to the swapper's thread, so that code is never pulled away under
/// a return address.
///
/// One replaced version is kept mapped, so that [`Engine::rollback`](crate::Engine::rollback) is one write; how many, says
/// [`EngineBuilder::keep_versions`](crate::EngineBuilder::keep_versions). [`Engine::unload`](crate::Engine::unload) asks one to go, and says
/// who holds it. What is in use for longer than
/// [`EngineBuilder::drain_deadline`](crate::EngineBuilder::drain_deadline) is told, and never unmapped.
///
/// After closing the library the swapper reads `/proc/self/maps`: no executable mapping of the file may be left. If one is, the
/// version is reported as pinned and never counted as gone.
///
/// No address inside a module reaches the C library unnoticed: `module!()` defines `__cxa_thread_atexit_impl`, `pthread_create`,
/// `pthread_key_create`, `pthread_key_delete`, `pthread_setspecific`, `sigaction` and `signal` inside the library, hidden, so that the
/// module's own standard library binds to them. Each hands over to the host:
///
/// 1. A thread begins and ends in a function of the host's, which has a reference on the version all the time.
/// 2. Thread-local destructors are kept in a list of the host's, one for each thread. A key is made without a
///    destructor; the host keeps it, and notes which threads have a value.
/// 3. When a version has no reference left, nobody is in it and nobody can enter it. Then, and not before, its destructors run, on the
///    threads that have something for them: at their next call through an engine, or at their end. Last registered, first run; then the
///    values of keys; again, until nothing comes after.
/// 4. When no thread has anything left, and no signal handler inside the image is installed, the keys are given back and
///    the library is closed.
///
/// Going back to a version that is at step 3 loads a fresh copy: what was destroyed cannot be used.
///
pub mod unload {}

/// # Classes of edits
///
/// What becomes of each kind of edit. Every row is a test of its name in `tests/tests/edit_classes.rs`, the toolchain's in
/// `tests/tests/verify.rs`.
///
/// | edit | what happens |
/// | --- | --- |
/// | a function's body | swapped; the next call runs it |
/// | a new function | swapped; callable at once |
/// | a function removed | swapped; calls are `Missing`. Refused while a handle or a required interface relies on it |
/// | a signature changed | swapped; callers of the old type get an error value that says what to write. Refused while a handle or a required interface relies on it |
/// | the layout of an argument's struct, the variants of its enum | as a signature: both layouts are shown |
/// | a static, a thread-local | swapped; each version starts with its own |
/// | a constant, a generic function, a macro | swapped; whatever uses it is compiled again |
/// | a path dependency, a feature in the manifest, an `include_str!` file | swapped; everything that goes into the build is watched |
/// | a comment, formatting | built, found to be the code that runs (`build.same`), not swapped. A line more or less moves the locations that panics tell, which is other code |
/// | another toolchain, target, `panic = "abort"` | refused before it is loaded, both sides named |
///
/// Values that a host keeps and lends to calls survive every swap, and so do [cells](crate::docs::state); what a module keeps in statics does not.
pub mod edit_classes {}

/// # Load hooks
///
/// `#[on_load]` in a module runs once for every version, after it was loaded and before it becomes current, while the version
/// before goes on serving. It may refuse: by an `Err`, a panic, or by not returning within the deadline
/// ([`EngineBuilder::load_deadline`](crate::EngineBuilder::load_deadline), 10 s by default). A hook that calls the engine is
/// refused too, since the engine waits for it; host functions may be called.
///
/// It runs on a thread of its own. One that does not return cannot be ended: its thread holds the refused version, which
/// stays mapped until then.
pub mod load_hooks {}

#[doc = include_str!("docs/state.md")]
pub mod state {}

#[doc = include_str!("docs/log.md")]
pub mod log {}
