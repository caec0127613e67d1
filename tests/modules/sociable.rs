//! A module that calls other modules of its registry.

use std::sync::OnceLock;

use hotswap_module::{CallError, NamedCaller, engine_named, export, host};

hotswap_module::module!();

const VERSION: u64 = 1;

#[export]
pub fn version() -> u64 {
    VERSION
}

/// Calls a function of another module.
#[export]
pub fn asks(module: &str, function: &str) -> Result<u64, CallError> {
    engine_named(module)?.call_with(function, ())
}

/// Has another module loaded, and calls nothing.
#[export]
pub fn finds(module: &str) -> Result<(), CallError> {
    engine_named(module).map(drop)
}

/// As `asks`, by a caller of the module `greet` that a static keeps.
#[export]
pub fn asks_greet() -> Result<u64, CallError> {
    static GREET: OnceLock<NamedCaller<'static>> = OnceLock::new();
    let greet = match GREET.get() {
        Some(greet) => greet,
        None => {
            let found = engine_named("greet")?;
            GREET.get_or_init(|| found)
        }
    };
    greet.call_with("version", ())
}

/// To and fro between two modules, `depth` times; adds up the versions.
#[export]
pub fn tosses(here: &str, there: &str, depth: u64) -> Result<u64, CallError> {
    if depth == 0 {
        return Ok(VERSION);
    }
    let there_name = there.to_owned();
    let rest: Result<u64, CallError> =
        engine_named(&there_name)?.call_with("tosses", (there, here, depth - 1))?;
    Ok(rest? + VERSION)
}

/// Calls the host function `name`, which may block, and answers from this version afterwards.
#[export]
pub fn after(name: &str) -> u64 {
    host().call(name).expect("the host answers");
    VERSION
}

/// Calls `after` of another module.
#[export]
pub fn waits_in(module: &str, name: &str) -> Result<u64, CallError> {
    engine_named(module)?.call_with("after", (name,))
}

/// Takes a text and gives one, through another module: memory of three sides.
#[export]
pub fn echoes(module: &str, text: String) -> Result<String, CallError> {
    engine_named(module)?.call_with("echo", (text,))
}

#[export]
pub fn echo(text: String) -> String {
    text + "!"
}

#[export]
pub fn panics() {
    panic!("on purpose");
}
