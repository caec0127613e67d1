//! The macros of `hotswap-module`, which re-exports them: depend on that crate, not on this one.
//!
//! What they write refers to `::hotswap_module` by full path, contains no lint that reaches the user and
//! compiles under `#![forbid(unsafe_code)]`: the unsafe code is ours, and argued where it is quoted.

use proc_macro::TokenStream;

mod attributes;
mod deadline;
mod derive_abi;
mod export;
mod function;
mod hook;
mod interface;
mod migrate;
mod needs;
mod representation;
mod reserved;
mod state;
mod types;

/// Exports a function or a constant, so that an engine can call it by name.
///
/// ```
/// use hotswap_module::export;
/// hotswap_module::module!();
///
/// #[export]
/// pub fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// #[export(name = "greeting")]
/// pub fn greet(name: &str) -> String {
///     format!("hello, {name}")
/// }
///
/// #[export]
/// pub const LIMIT: u64 = 7; // a function without arguments to the caller
///
/// assert_eq!(add(2, 3), 5); // still an ordinary function
/// assert!(exports().names().contains(&"greeting"));
/// ```
///
/// Arguments are owned [`Abi`] types or plain borrows of them (`&str`, `&[T]`, `&T`, `&mut T`, and
/// `Option` of these), at most eight. A borrow lasts for the call: `&'static` does not compile. The
/// result is owned. A panic is caught and becomes the caller's error.
///
/// A parameter of type `State<T>` or `Shared<T>` is a cell of state: the engine passes it, and callers do not see
/// it ([`macro@state`]).
/// A call may be given a deadline, from `1ms` to `49d`. One that takes longer is told, by the engine's log and events, and is not waited
/// for when its version is replaced; it is never interrupted, and its caller gets its result:
///
/// ```
/// use hotswap_module::export;
/// hotswap_module::module!();
///
/// #[export(deadline = "200ms")]
/// pub fn step() {}
/// ```
///
/// On the implementation of an [`macro@interface`] it exports every function of it, and the
/// compiler checks that none is missing or different:
///
/// ```
/// use hotswap_module::{export, interface};
/// hotswap_module::module!();
///
/// #[interface]
/// pub trait Weather {
///     /// Degrees at noon.
///     fn noon(day: u32) -> f64;
/// }
///
/// #[export]
/// impl Weather for Exports {
///     fn noon(day: u32) -> f64 {
///         f64::from(day) / 10.0
///     }
/// }
/// assert!(exports().names().contains(&"noon"));
/// ```
///
/// Methods, generic and `async` functions cannot be exported; the error says what to write instead.
///
/// ```compile_fail
/// # use hotswap_module::export;
/// #[export]
/// pub fn longest<T: Ord>(values: Vec<T>) -> Option<T> { // choose the type: an export has one address
///     values.into_iter().max()
/// }
/// ```
///
/// ```
/// # use hotswap_module::export;
/// # hotswap_module::module!();
/// #[export]
/// pub fn longest(values: Vec<u64>) -> Option<u64> {
///     values.into_iter().max()
/// }
/// ```
///
/// [`Abi`]: macro@Abi
#[proc_macro_attribute]
pub fn export(options: TokenStream, item: TokenStream) -> TokenStream {
    export::expand(options.into(), item.into()).into()
}

/// Describes a type's layout, so that its values may cross between a host and its modules.
///
/// ```
/// use hotswap_module::Abi;
///
/// #[derive(Abi)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// #[derive(Abi)]
/// enum Shape {
///     Circle { radius: f64 },
///     Polygon(Vec<Point>),
///     Empty,
/// }
///
/// #[derive(Abi)]
/// struct Tree<T> {
///     value: T,
///     children: Vec<Tree<T>>, // a type may contain itself
/// }
/// ```
///
/// Every field must be `Abi`: owned plain data. Two types that contain each other need the attribute
/// `#[abi(by_name)]` on one of the fields, since the description is a constant and a cycle has no value.
/// Such a field is described by its name and compared in full when a version is loaded:
///
/// ```
/// use hotswap_module::Abi;
///
/// #[derive(Abi)]
/// struct Folder {
///     entries: Vec<Entry>,
/// }
///
/// #[derive(Abi)]
/// enum Entry {
///     File(String),
///     #[allow(dead_code)]
///     Folder(#[abi(by_name)] Box<Folder>),
/// }
/// ```
///
/// `#[abi(name = "Place")]` on a type puts another name into its description, and `#[abi(by_name = "Box<Folder>")]` on a field the
/// name of the type that it had: for former versions of types, whose descriptions are to be those of then (see [`macro@state`]).
///
/// Borrows, function pointers and trait objects are refused: they may point into the image of the
/// module that made them, which can be unloaded.
#[proc_macro_derive(Abi, attributes(abi))]
pub fn derive_abi(input: TokenStream) -> TokenStream {
    derive_abi::expand(input.into()).into()
}

/// Runs a function once when a version was loaded, before it may become current, and lets it refuse.
///
/// ```
/// use hotswap_module::on_load;
///
/// #[on_load]
/// fn check_tables() -> Result<(), String> {
///     if 2 + 2 == 4 { Ok(()) } else { Err("the tables do not add up".to_owned()) }
/// }
/// ```
///
/// The function returns nothing or a `Result`. It takes no argument, or a [`VersionChange`] that says between which versions it
/// runs. It runs on a thread of its own, with
/// a deadline that the host sets (`load_deadline`, 10 s by default), while the version before goes on serving. When it
/// returns an `Err`, panics, takes too long or calls the engine, the new version is refused and the reason is in the
/// log. Functions of the host may be called. Several of them run one after the other, by name.
///
/// [`VersionChange`]: https://docs.rs/hotswap-module/latest/hotswap_module/struct.VersionChange.html
#[proc_macro_attribute]
pub fn on_load(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(&hook::ON_LOAD, options.into(), item.into()).into()
}

/// Runs a function each time that a version became current, also by a rollback.
///
/// ```
/// use hotswap_module::{VersionChange, after_swap};
///
/// #[after_swap]
/// fn greet(change: VersionChange) {
///     println!("{:?} is current, after {:?}", change.to, change.from);
/// }
/// ```
///
/// Written like [`macro@on_load`]. It runs on a thread of its own and holds up nothing: calls are answered by the new
/// version already, and it may call the engine. An `Err`, a panic, or a deadline that passes (`hook_deadline`, 10 s by default)
/// is told in the log, and that is all.
#[proc_macro_attribute]
pub fn after_swap(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(&hook::AFTER_SWAP, options.into(), item.into()).into()
}

/// Runs a function once when a version is about to go: the place to stop threads and to close sockets.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use hotswap_module::before_unload;
///
/// static IS_STOPPED: AtomicBool = AtomicBool::new(false); // the module's threads look at it
///
/// #[before_unload]
/// fn stop() {
///     IS_STOPPED.store(true, Ordering::Release);
/// }
/// ```
///
/// Written like [`macro@on_load`]. It runs on a thread of its own when nothing can enter the version any more and it is not kept
/// for a rollback, or the engine ends; threads of the module may still run, and are waited for afterwards. It cannot refuse: an `Err`, a
/// panic, or a deadline that passes (`hook_deadline`, 10 s by default) is told in the log, and the version goes all the same, as
/// soon as the function has returned. Functions of the host may be called, the engine not.
#[proc_macro_attribute]
pub fn before_unload(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(&hook::BEFORE_UNLOAD, options.into(), item.into()).into()
}

/// Makes a trait the interface that a host and a module share.
///
/// ```
/// use hotswap_module::interface;
///
/// #[interface]
/// pub trait Sample {
///     /// Adds two numbers.
///     fn add(a: u64, b: u64) -> u64;
///     /// Greets by name.
///     fn greet(name: &str) -> String;
/// }
///
/// // Every caller (an engine, a guard) has the functions as methods:
/// fn use_it(engine: &impl hotswap_module::Caller) -> Result<u64, hotswap_module::CallError> {
///     println!("{}", engine.greet("you")?);
///     engine.add(2, 3)
/// }
/// ```
///
/// The trait stays, and its functions get `where Self: Sized`, so that `dyn Sample` names it in
/// `.require::<dyn Sample>()` and `module!(needs = [dyn Sample])`. A second trait, here `SampleCalls`, is
/// implemented for every [`Caller`]; bring it into scope with `use .. ::SampleCalls as _`. In the module
/// write `#[export] impl Sample for Exports { .. }`, or export functions of the same names and types.
///
/// The functions have no `self`, no body and no type parameters, and are not named like a method of the engine.
///
/// [`Caller`]: https://docs.rs/hotswap-module/latest/hotswap_module/trait.Caller.html
#[proc_macro_attribute]
pub fn interface(options: TokenStream, item: TokenStream) -> TokenStream {
    interface::expand(options.into(), item.into()).into()
}

/// Makes a type the type of a cell, whose value survives swaps.
///
/// ```
/// use hotswap_module::{State, export, state};
/// hotswap_module::module!();
///
/// #[state(version = 1)]
/// #[derive(Default)]
/// pub struct Counters {
///     pub calls: u64,
///     pub last: Option<Place>,
/// }
///
/// /// A type inside of state types.
/// #[state(part)]
/// pub struct Place {
///     pub x: f64,
///     pub y: f64,
/// }
///
/// #[export]
/// pub fn count(counters: State<Counters>, x: f64) -> u64 {
///     let mut counters = counters.lock();
///     counters.calls += 1;
///     counters.last = Some(Place { x, y: 0.0 });
///     counters.calls
/// }
///
/// // In a test, an ordinary function:
/// assert_eq!(count(State::standalone(Counters::default()), 1.5), 1);
/// ```
///
/// It stands on a struct or an enum without parameters, and derives [`Abi`], `Serialize` and `Deserialize` where they are not
/// derived already (the crate's own dependency on serde is not needed). So fields are owned plain data:
/// what could point into the image of the code that made it does not compile.
///
/// | option | meaning |
/// | --- | --- |
/// | `version = 1` | which form of the schema this is, from 1 to 65535. Raise it when the fields change, and write how the old value becomes the new one: [`macro@migrate`]. Types inside of it count as its fields |
/// | `name = "Counters"` | the schema, which all versions share; the type's own name unless it is said. Former versions need it, since they have other names |
/// | `init = function` | `fn() -> Counters` makes the first value. Without it that is the type's `Default`; a type with neither can only come from a migration |
/// | `check = function` | `fn(&Counters) -> Result<(), E>` where `E` can be shown: what must be true of a value that comes out of a migration, or the new version is refused |
/// | `part` | alone: a type inside of state types, with the derives and nothing else. A former one gets the name that it had by `#[abi(name = "Place")]` |
///
/// ```
/// # use hotswap_module::state;
/// # hotswap_module::module!();
/// #[state(version = 1, init = begin, check = positive)]
/// pub struct Balance {
///     pub cents: i64,
/// }
///
/// fn begin() -> Balance {
///     Balance { cents: 10_000 }
/// }
///
/// fn positive(balance: &Balance) -> Result<(), String> {
///     if balance.cents >= 0 { Ok(()) } else { Err(format!("{} cents", balance.cents)) }
/// }
/// ```
///
/// Values are written whole, by the names of their fields: of serde's attributes only `with`, `serialize_with`, `deserialize_with`,
/// `default` and `deny_unknown_fields` may stand there.
///
/// ```compile_fail
/// # use hotswap_module::state;
/// #[state(version = 1)]
/// pub struct Words {
///     pub counts: std::collections::HashMap<String, u64>, // points into the image while it is empty: write BTreeMap
/// }
/// ```
///
/// [`Abi`]: macro@Abi
#[proc_macro_attribute]
pub fn state(options: TokenStream, item: TokenStream) -> TokenStream {
    state::expand(options.into(), item.into()).into()
}

/// A step from one version of a state type to a later one.
///
/// ```
/// use hotswap_module::{migrate, state};
/// hotswap_module::module!();
///
/// /// Counters as they were: the values that running programs have.
/// #[state(version = 1, name = "Counters")]
/// pub struct CountersV1 {
///     pub calls: u32,
///     pub name: String,
/// }
///
/// #[state(version = 2)]
/// #[derive(Default)]
/// pub struct Counters {
///     pub calls: u64,
///     pub title: String,
/// }
///
/// #[migrate(from = 1, down = counters_to_1)]
/// fn counters_from_1(old: CountersV1) -> Counters {
///     Counters { calls: old.calls.into(), title: old.name }
/// }
///
/// /// The way back, for a rollback.
/// fn counters_to_1(new: Counters) -> Result<CountersV1, String> {
///     let calls = new.calls.try_into().map_err(|_| format!("{} calls are too many", new.calls))?;
///     Ok(CountersV1 { calls, name: new.title })
/// }
///
/// // Both stay ordinary functions, to be tested alone:
/// let old = CountersV1 { calls: 3, name: "n".to_owned() };
/// assert_eq!(counters_from_1(old).calls, 3);
/// assert!(counters_to_1(Counters { calls: u64::MAX, title: String::new() }).is_err());
/// ```
///
/// The function takes the old value and returns the new one, or a `Result` of it whose error can be shown. `from` is the version of the old type,
/// and both have the same schema. Steps are run one after the other, from the version that a cell has to the one that the new code wants;
/// `from` may skip versions. They run on a copy, on a thread of their own and with a deadline, before the new version becomes current: when one returns an
/// `Err` or panics, that version is refused, and nothing has changed. So a step has no effects outside.
///
/// `down` names the way back, from the new type to the old one. Without it a rollback over this step needs the host's leave.
///
/// # Derived steps
///
/// Where fields were only added, renamed or dropped, no function and no former type is needed:
///
/// ```
/// use hotswap_module::{migrate, state};
/// hotswap_module::module!();
///
/// #[state(version = 3)]
/// #[migrate(auto, from = 2)]
/// #[derive(Default)]
/// pub struct Counters {
///     pub calls: u64,
///     #[migrate(renamed = "name")]
///     pub title: String,
///     pub since: Option<u64>, // new: as in the first value
/// }
/// ```
///
/// Fields are found by name, new ones are as in the type's first value, and the names of what is dropped are in the log. A step that would change
/// what is kept, or finds a renamed field under neither name, is an error: write a function. Several may stand on a type,
/// one for each version. The way back is derived too where no field is gone and none has another type.
#[proc_macro_attribute]
pub fn migrate(options: TokenStream, item: TokenStream) -> TokenStream {
    migrate::expand(options.into(), item.into()).into()
}
