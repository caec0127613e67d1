//! Prose that compiles: what is promised, and what is not.

/// # Limits
///
/// Read before the features.
///
/// * **A module is native code of yours.** A segmentation fault, a stack overflow, an `abort` or an endless
///   loop in it is one in your process.
/// * **Code of others** is native code in your process once it is loaded: a signature says who wrote it, a
///   [sandbox](crate::Sandbox) confines its build alone.
/// * **Linux with glibc** on x86-64 and aarch64 is what is supported; x86-64 is what the tests run on. The machine code for
///   aarch64 is written and untested.
/// * **One compiler.** Host and module must be built by the very same rustc: Rust has no stable layout. Anything else is
///   refused before it is loaded, with both compilers named.
/// * **`panic = "abort"`** in the module's profile is refused: a panic would end the host.
/// * **Unloading** is as good as [`unload`] says, number by number; what it cannot see stands there too.
/// * **Shared libraries that a module links** stay when it goes; a library that imports `timer_create`, `on_exit` and the like is never
///   unmapped; one that needs static thread-local storage is refused.
/// * **A thread-local value whose destructor panics** aborts the process, as everywhere in Rust.
/// * **Statics of a module start anew** with every version: each version is loaded from a file of its own. What must outlive a
///   version lies in [cells](crate::docs::state).
/// * **A migration holds two copies** of what it migrates, and its bytes; the old one goes with the version that it belongs to.
/// * **A guard of a cell that is forgotten** (`std::mem::forget`) leaves the cell locked for good, as with any lock.
/// * **A module thread, a signal handler, a thread-local value with a destructor** holds its version: until it ended, until
///   another handler took its place, until the thread that has the value ended or made its next call through any
///   engine. A guard's calls do not count as such. A thread that never calls again and never ends holds it for ever.
///   `status()` names the holders.
/// * **Thread-specific keys**: a process has 1,024, and `std::thread` in a module takes one or two per version, which go with
///   it. When versions that are held have taken 768, newcomers are refused by name and the current version goes on.
/// * **Heap memory of a version** ([`VersionInfo::heap_bytes`](crate::VersionInfo::heap_bytes)) is what its allocator was asked for, minus what it
///   gave back, in bytes as asked for: what the host's allocator adds to each block is not in it, nor what a C library inside allocates by
///   itself. Owned arguments and results move from the account of one side to the other's when they cross, by what they own.
///   Where that cannot be told, the call is left out as a whole, with what the module kept of it and what it freed: when an argument or the result
///   has a `BTreeMap` or a `BTreeSet` in it, is packed, or is lent by `&mut` and owns memory. What a module hands to a host function in a
///   `BTreeMap` stays on its account, and what it gets in one is not put there. With more than 64 versions mapped in a process, those
///   beyond are counted by one counter for all threads, and calls left out on several threads at once may blur their figure.
///   What a version has put into [cells of state](crate::docs::state) is on its account, and no leak: of a version with state types none is told.
///   To tell the two apart every value would have to be walked through at each swap, which costs nothing as it is.
/// * **A leak** (`version.leaked`) is what such an account has when its version was unmapped. A module of safe code that frees what
///   it takes has nothing then; what stands in its statics was never dropped and is lost: have a `#[before_unload]` hook drop it.
/// * **What a build reads from the environment** (`env!`, a build script that looks at the machine) is no part of the
///   fingerprint. What was built before is taken from the store, in later processes too; `rebuild_always` on the builder
///   builds afresh in each process.
/// * **The way back to a library from elsewhere** (a prebuilt one, or one that was offered) that is not mapped any more needs the very
///   bytes where they lay: overwritten, it is refused. What the engine built lies in the store. A prebuilt source has a
///   store, and with it everything that outlasts a process, where `target_dir` on the builder names a place for one.
/// * **Sixty-four versions** back is how far an engine remembers; the store keeps the thirty-two libraries that were used last,
///   and what is neither mapped nor there cannot be gone back to.
/// * **What outlasts a process** (which versions served, what is in quarantine) is small files in the store of the target
///   directory: they are there when a verdict is given, also if the process is killed then; after a loss of power they may not
///   be, and then nothing is said. The last eight that served are remembered, by source, profile and features.
///   Numbers of versions begin anew with each process: `rollback` reaches across a restart, `rollback_to` does not.
/// * **Quarantine** outlasts the process where the module was at fault or was rolled back. What only this host or this machine
///   refused (another compiler, a function that is missing on either side, a full disk) is judged anew by the next process;
///   and so is what is in quarantine, when nothing else can run.
/// * **`open` starts with what served last** where the source is gone or no compiler runs; an edit that does not build is its
///   error, unless `start_with_last_good` is asked for.
/// * **A debugger shows no lines** of a module that was built as by default
///   (`Profile::Hot`); with `Profile::Dev` it does.
/// * **Panics of linked modules** are told without their location, and the program's own panic hook prints them.
/// * **A host function that owns its engine** (a clone inside the closure given to `provide`) keeps that engine for ever:
///   hand it a `Weak` of something of yours instead.
/// * **A setting of a registry that owns it** (a clone of [`Modules`](crate::Modules) inside a closure given to `each`, or to `provide` there)
///   keeps that registry for ever.
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
/// * **Modules of a registry share the thread** that swaps, and may hold up each other's swaps, and what is asked of each other
///   (`reload`, `wake`, `pause`), never each other's calls: by what runs on that thread, which is a constructor of a module, and by
///   what it waits for, which is load hooks, migrations and saving state, at most until their deadlines. Hooks that nothing waits for
///   (`#[after_swap]`, `#[before_unload]`), calls under way, guards and the end of an engine hold up nothing.
/// * **What changes together** is admitted one after the other: state that one of them migrates stays locked until the migrations
///   of all are done, and `abort` of one waits for the load hook of another that runs at that moment. State that engines share cannot
///   change its form, in a group neither, while another engine uses it. A member that is paused or frozen has the others wait, for
///   good in the latter case.
///   `rollback` and `offer` are of one engine: they may leave it beside members of another time.
///   What belongs with a replaced version stays mapped as long as a call or a guard is in that version; a thread of a module keeps its own version alone.
/// * **`abort` waits for a constructor** of a module: only a load hook can be left behind.
/// * **A host built with `panic = "abort"`** ends at a panic of the library itself, as at any other; supervision needs unwinding.
/// * **True exhaustion of memory** aborts the process, as everywhere in Rust.
/// * **Forking** the host leaves the child without the monitor's and the swapper's threads: it can call, in the version that
///   was current, and what asks for a swap is an error at once (`Forked`); `pause`, `resume` and `wake` do nothing there. Dropping
///   the engine in the child ends nothing in the parent. Fork where no swap is under way: a lock that another thread
///   holds at that moment stays locked in the child, here as in every library.
pub mod limits {}

/// # Deadlines of calls
///
/// A call may say how long it is meant to take. Nothing is ever interrupted: the deadline decides what is told, and who is waited for.
///
/// | where | what it covers |
/// | --- | --- |
/// | `#[export(deadline = "200ms")]` in the module | calls of that function, of every function of an `impl`; each version its own |
/// | [`EngineBuilder::default_call_deadline`](crate::EngineBuilder::default_call_deadline) | exports without one, constants too |
/// | [`EngineBuilder::call_deadline`](crate::EngineBuilder::call_deadline) | calls of the export of that name, over what the module declares |
/// | [`Function::deadline`](crate::Function::deadline) | calls by that handle, over both |
///
/// `Duration::MAX` in the last two takes a deadline away. [`Engine::exports`](crate::Engine::exports) shows those in force,
/// [`Inspection`](crate::Inspection) those that a file declares.
///
/// **While it runs.** The swapper tells of each call that runs past its deadline once: `call.overdue` in the log and
/// [`Event::CallOverdue`](crate::Event::CallOverdue), with function, thread and age. From then on it is an
/// [`ExpiredCall`](crate::PinKind::ExpiredCall) among the holders of its version. It holds the code as any other call. But it is not waited for:
/// an [`UnloadTicket`](crate::UnloadTicket) answers at once where only such calls are left, and a version that
/// only they hold is not told as overdue. While the swapper is busy with a newcomer, its load hook above all, it tells later.
///
/// **When it returns.** Its caller gets its result, however late. What comes back late is counted
/// ([`Status::late_call_count`](crate::Status::late_call_count)) and told by `call.late`: the first of a function at once, what follows within
/// a second by one line, with their number and the longest.
///
/// **What it costs.** Calls of functions without a deadline take not one instruction more. A call with one reads the clock twice and
/// takes two locks, one for its version and one for its engine: it is for functions that do some work.
pub mod deadlines {}

#[doc = include_str!("docs/unload.md")]
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

/// # Hooks
///
/// Functions of a module that the engine runs by itself. Each may take a
/// [`VersionChange`](hotswap_module::VersionChange), which says between which versions it runs, and return a `Result`. Several of a kind run one
/// after the other, by name, on a thread of their own, which ends with them. Host functions may be called.
///
/// | hook | when | if it fails | may call the engine |
/// | --- | --- | --- | --- |
/// | `#[on_load]` | once, after it was loaded and before it becomes current | the version is refused | no |
/// | `#[after_swap]` | each time that it became current, by a rollback too | told in the log (`hook.failed`) | yes |
/// | `#[before_unload]` | once, when it is about to go | told in the log, and it goes | no |
///
/// Functions linked into the host ([`Engine::linked`](crate::Engine::linked)) have the same hooks; the last runs at the end of the engine.
///
/// ## `#[on_load]`
///
/// `#[on_load]` in a module runs once for every version, after it was loaded and before it becomes current, while the version
/// before goes on serving. It may refuse: by an `Err`, a panic, or by not returning within the deadline
/// ([`EngineBuilder::load_deadline`](crate::EngineBuilder::load_deadline), 10 s by default). A hook that calls the engine is
/// refused too, since the engine waits for it; host functions may be called.
///
/// One that does not return cannot be ended: its thread holds the refused version, which
/// stays mapped until then. A version that is kept and becomes current again by a rollback is not loaded, so that it does not run again.
///
/// ## `#[after_swap]`
///
/// Calls are answered by the new version while it runs, and it may be replaced before it has returned: a version runs beside the
/// hooks of another. It holds its version while it runs, by name.
///
/// ## `#[before_unload]`
///
/// The place to stop threads, to close sockets, and to drop what statics hold: for a version that nobody can enter any more and that is not kept for a
/// rollback, also one that its load hook refused. Threads of the module may still run; they hold the image, and are waited for afterwards. None
/// can be started once the last of them has ended. A rollback to this version loads a fresh copy from here on.
///
/// It cannot refuse. What it returns, a panic, or passing its deadline
/// ([`EngineBuilder::hook_deadline`](crate::EngineBuilder::hook_deadline), 10 s by default) is logged and told by
/// [`Event::HookFailed`](crate::Event::HookFailed); the version goes when the function has returned. One that does not return holds
/// its version, by name, and cannot be ended.
///
/// The end of the engine waits for it until its deadline: it runs for the current version and for those that are kept. A version
/// that a call or a guard is in at that moment gets it when they end, and nobody waits for that.
pub mod hooks {}

#[doc = include_str!("docs/state.md")]
pub mod state {}

#[doc = include_str!("docs/log.md")]
pub mod log {}

#[doc = include_str!("docs/sources.md")]
pub mod sources {}

#[cfg(feature = "delivery")]
#[doc = include_str!("docs/delivery.md")]
pub mod delivery {}

#[cfg(feature = "monitor")]
#[doc = include_str!("docs/sandbox.md")]
pub mod sandbox {}

#[doc = include_str!("docs/modules.md")]
pub mod modules {}
