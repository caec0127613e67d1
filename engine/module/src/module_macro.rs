//! `module!()`: what makes a crate a module.

/// Makes a crate a module. Write it once, at the top of `src/lib.rs`.
///
/// It gives the crate `Exports`, the type that interfaces are implemented for, and
/// `exports()`, the table that `Engine::linked` takes. Built by an engine it
/// adds the handshake, the forwarding allocator and the hooks.
///
/// ```
/// hotswap_module::module!();
/// # fn main() {}
/// ```
///
/// With `uses`, exports of other crates become exports of this one; naming the
/// crate is what makes the linker keep them:
///
/// ```text
/// hotswap_module::module!(uses = [weapons, weather]);
/// ```
///
/// With `needs`, a host that does not provide every function of these interfaces,
/// with these signatures, is told so when it loads the module:
///
/// ```
/// use hotswap_module::interface;
///
/// #[interface]
/// pub trait Drawing {
///     fn draw(x: f32, y: f32);
/// }
/// hotswap_module::module!(needs = [dyn Drawing]);
/// # fn main() {}
/// ```
///
/// A name that stands as a literal in the body of an export, `host().call_with("draw", ..)`, is asked for
/// in any case.
#[macro_export]
macro_rules! module {
    ($(uses = [$($dependency:ident),* $(,)?])? $(,)? $(needs = [$($interface:ty),* $(,)?])? $(,)?) => {
        /// The type that this module's interfaces are implemented for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct Exports;

        /// What this module exports, for `Engine::linked`.
        #[must_use]
        pub fn exports() -> $crate::Linked {
            $crate::Linked::new(
                ::core::module_path!(),
                &[$($(::core::stringify!($dependency)),*)?],
                __hotswap_needs(),
            )
        }

        #[doc(hidden)]
        fn __hotswap_needs() -> $crate::__private::Needs {
            &[$($(<$interface as $crate::Interface>::FUNCTIONS),*)?]
        }

        $($(const _: () = {
            #[allow(unused_imports, reason = "linking the crate is the point: its exports are kept")]
            use $dependency as _;
        };)*)?

        // `hotswap` is set by the engine for the final crate only; cargo does not know of it.
        #[allow(unexpected_cfgs, reason = "the engine's build sets this cfg")]
        #[doc(hidden)]
        mod __hotswap_loaded {
            #[cfg(hotswap)]
            mod on {
                #[global_allocator]
                static ALLOCATOR: $crate::__private::Allocator = $crate::__private::Allocator;

                #[used]
                #[unsafe(no_mangle)]
                #[unsafe(link_section = "hotswap_root")]
                pub static HOTSWAP_ROOT: $crate::__private::Root = $crate::__private::Root::new(
                    ::core::module_path!(),
                    ::core::cfg!(panic = "unwind"),
                    $crate::__private::start,
                    $crate::__private::stop,
                    super::super::__hotswap_needs,
                );

                $crate::__intercept! {
                    "__cxa_thread_atexit_impl" => $crate::__private::intercept::thread_atexit;
                    "__cxa_thread_atexit" => $crate::__private::intercept::thread_atexit;
                    "__cxa_atexit" => $crate::__private::intercept::cxa_atexit;
                    "pthread_create" => $crate::__private::intercept::pthread_create;
                    "thrd_create" => $crate::__private::intercept::thrd_create;
                    "pthread_key_create" => $crate::__private::intercept::pthread_key_create;
                    "__pthread_key_create" => $crate::__private::intercept::pthread_key_create;
                    "tss_create" => $crate::__private::intercept::tss_create;
                    "tss_delete" => $crate::__private::intercept::tss_delete;
                    "tss_set" => $crate::__private::intercept::tss_set;
                    "pthread_key_delete" => $crate::__private::intercept::pthread_key_delete;
                    "pthread_setspecific" => $crate::__private::intercept::pthread_setspecific;
                    "sigaction" => $crate::__private::intercept::sigaction;
                    "signal" => $crate::__private::intercept::signal;
                    "dl_iterate_phdr" => $crate::__private::intercept::dl_iterate_phdr;
                }
            }
        }
    };
}

/// Defines, hidden and inside the final cdylib only, each symbol as a jump to a
/// function; std inside that cdylib then binds to it and not to libc's.
///
/// Weak, since fat LTO complains of a global one. *Source*: tried in dev, release, fat LTO and
/// stripped builds with rust-lld, GNU ld and mold.
#[doc(hidden)]
#[macro_export]
macro_rules! __intercept {
    ($($symbol:literal => $function:path;)*) => {$(
        #[cfg(target_arch = "x86_64")]
        ::core::arch::global_asm!(
            ::core::concat!(".pushsection .text.hotswap.", $symbol, ",\"ax\",@progbits"),
            ::core::concat!(".weak ", $symbol),
            ::core::concat!(".hidden ", $symbol),
            ::core::concat!(".type ", $symbol, ",@function"),
            ".p2align 4",
            ::core::concat!($symbol, ":"),
            ".cfi_startproc",
            "jmp {function}",
            ".cfi_endproc",
            ::core::concat!(".size ", $symbol, ", . - ", $symbol),
            ".popsection",
            function = sym $function,
        );
        #[cfg(target_arch = "aarch64")]
        ::core::arch::global_asm!(
            ::core::concat!(".pushsection .text.hotswap.", $symbol, ",\"ax\",%progbits"),
            ::core::concat!(".weak ", $symbol),
            ::core::concat!(".hidden ", $symbol),
            ::core::concat!(".type ", $symbol, ",%function"),
            ".p2align 2",
            ::core::concat!($symbol, ":"),
            ".cfi_startproc",
            "hint #34",
            "b {function}",
            ".cfi_endproc",
            ::core::concat!(".size ", $symbol, ", . - ", $symbol),
            ".popsection",
            function = sym $function,
        );
    )*};
}
