//! Other modules of the registry that this one was loaded by.

use crate::abi::Abi;
use crate::arguments::Arguments;
use crate::caller::{Caller, RawCall, answered};
use crate::error::CallError;
use crate::services::Text;

/// Another module, by its name in the registry (`Modules`) of the engine that loaded this one, as a [`Caller`]: calls go to its
/// current version. It is loaded now if it is not yet, which may take a build.
///
/// The result is a name and nothing else: it may be kept, keeps no version and no engine alive, and is looked up at every
/// call. A module that was unloaded meanwhile is loaded again by the next call. Modules may call each other in a circle. A call of a
/// thread that holds a cell of state finds it held when it comes back to it, as any other call.
///
/// ```no_run
/// # fn main() -> Result<(), hotswap_module::CallError> {
/// let words = hotswap_module::engine_named("words")?;
/// let greeting: String = words.call_with("greeting", ("Ada",))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`CallErrorKind::NoModule`](crate::CallErrorKind::NoModule) when the registry has no such module, when it cannot be loaded, and
/// in a module that no registry has loaded; [`CallErrorKind::NoEngine`](crate::CallErrorKind::NoEngine) in code that no engine has
/// loaded; [`CallErrorKind::Refused`](crate::CallErrorKind::Refused) in a hook that must not call the engine.
pub fn engine_named(name: &str) -> Result<NamedCaller<'_>, CallError> {
    // SAFETY: the text is borrowed during the call, which writes an error when it says so.
    answered(name, |services, context, error| unsafe {
        (services.find_named)(context, Text::new(name), error)
    })?;
    Ok(NamedCaller { name })
}

/// What [`engine_named`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedCaller<'a> {
    name: &'a str,
}

impl NamedCaller<'_> {
    /// [`Caller::call`], without the trait in scope.
    ///
    /// # Errors
    ///
    /// As there, with the module's name before the function's: `words::greeting`; and as [`engine_named`].
    pub fn call(&self, name: &str) -> Result<(), CallError> {
        Caller::call(self, name)
    }

    /// [`Caller::call_with`], without the trait in scope.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn call_with<R: Abi>(&self, name: &str, arguments: impl Arguments) -> Result<R, CallError> {
        Caller::call_with(self, name, arguments)
    }
}

// SAFETY: the service keeps both promises; it is the host's `Caller` on the other side.
unsafe impl Caller for NamedCaller<'_> {
    const IS_MODULE: bool = true;

    unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        let (module, name) = (Text::new(self.name), Text::new(call.name));
        // SAFETY: the caller's promises are handed on as they are; the texts are borrowed during the call.
        answered(call.name, |services, context, error| unsafe {
            let (signature, hash) = call.signature_parts();
            let (arguments, out) = (call.arguments, call.out);
            (services.call_named)(context, module, name, signature, hash, arguments, out, error)
        })
        .map_err(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CallErrorKind;

    #[test]
    fn code_that_no_engine_loaded_has_no_neighbours() {
        let error = engine_named("words").unwrap_err();
        assert_eq!((error.function.as_str(), error.kind), ("words", CallErrorKind::NoEngine));
        let kept = NamedCaller { name: "words" };
        let error = kept.call_with::<u64>("greeting", (1u64,)).unwrap_err();
        assert_eq!(error.kind, CallErrorKind::NoEngine);
    }
}
