//! What `#[interface]` writes: constants for `require`, methods for every caller.

#![expect(missing_docs, reason = "a module's items are public, and these have no readers")]

use hotswap_module::__private::{Kind, RawCall, Status, Typed};
use hotswap_module::{Abi, CallError, CallErrorKind, Caller, Interface, export, interface};

hotswap_module::module!();

#[derive(Debug, Abi, Default)]
pub struct World {
    pub tick: u64,
}

#[interface]
pub trait Sample {
    /// Does nothing.
    fn nothing();
    fn add(a: u64, b: u64) -> u64;
    fn step(world: &mut World, by: u64);
    fn greet<'a>(first: &'a str, _: Option<&'a str>) -> String;
    #[cfg(any())]
    fn compiled_out(_: NoSuchType);
}

#[export]
impl Sample for Exports {
    fn nothing() {}

    fn add(a: u64, b: u64) -> u64 {
        a + b
    }

    fn step(world: &mut World, by: u64) {
        world.tick += by;
    }

    fn greet(first: &str, _: Option<&str>) -> String {
        format!("hello, {first}")
    }
}

/// Calls the exports of this very program, by the rules of an engine.
struct Here;

// SAFETY:
// 1. Result: the signatures' texts are compared before the call, and the shim wrote the result when it is done.
// 2. Arguments: the shim takes them, and it is reached only after every check.
unsafe impl Caller for Here {
    unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        let error = |kind| Box::new(CallError::new(call.name, None, kind));
        let linked = exports();
        let export = linked
            .exports()
            .iter()
            .find(|export| export.record.kind == Kind::Export && export.record.name == call.name)
            .ok_or_else(|| error(CallErrorKind::Missing { similar: None }))?;
        if let Some((signature, hash)) = call.signature
            && (hash != export.record.hash || signature.text() != export.record.signature)
        {
            let (expected, found) = (signature.text(), export.record.signature.clone());
            return Err(error(CallErrorKind::Signature { expected, found }));
        }
        let shim = export.shim.expect("exports have a shim");
        // SAFETY: both contracts are this function's own.
        match Status::from_code(unsafe { shim(call.arguments, call.out) }) {
            Status::Done => Ok(()),
            _ => Err(error(CallErrorKind::Panicked { message: String::new(), location: None })),
        }
    }
}

#[test]
fn an_interface_tells_its_functions() {
    assert_eq!(<dyn Sample as Interface>::NAME, "Sample");
    let functions: Vec<_> = <dyn Sample as Interface>::FUNCTIONS
        .iter()
        .map(|requirement| (requirement.name, requirement.signature.hash()))
        .collect();
    assert_eq!(
        functions,
        [
            ("nothing", Typed::<(), ()>::HASH),
            ("add", Typed::<(u64, u64), u64>::HASH),
            ("step", Typed::<(&mut World, u64), ()>::HASH),
            ("greet", Typed::<(&str, Option<&str>), String>::HASH),
        ]
    );
}

#[test]
fn its_functions_are_methods_of_every_caller() {
    Here.nothing().expect("exported");
    assert_eq!(Here.add(2, 3), Ok(5));
    let mut world = World::default();
    Here.step(&mut world, 2).expect("exported");
    assert_eq!(world.tick, 2);
    let name = String::from("you");
    assert_eq!(Here.greet(&name, None).as_deref(), Ok("hello, you"));
    let caller: &dyn Dynamic = &Here;
    caller.check();
}

/// Callers behind a reference are callers in generic code.
trait Dynamic {
    fn check(&self);
}

impl<C: SampleCalls> Dynamic for C {
    fn check(&self) {
        assert_eq!(self.add(1, 1), Ok(2));
    }
}

#[test]
fn a_function_that_is_missing_or_different_is_an_error() {
    #[interface]
    trait Other {
        fn missing();
        fn step(world: u64);
    }
    let error = OtherCalls::missing(&Here).expect_err("not exported");
    assert_eq!(error.kind, CallErrorKind::Missing { similar: None });
    let error = OtherCalls::step(&Here, 1).expect_err("another signature");
    assert!(matches!(error.kind, CallErrorKind::Signature { .. }), "{error}");
}
