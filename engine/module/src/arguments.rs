//! Tuples of arguments, and the form in which they reach the shim.

use crate::abi::{Argument, Desc};
use crate::crossing::Crossing;

/// What `call_with` takes: a tuple of up to eight [`Argument`]s; `()` for none.
///
/// More than eight values are better a struct with `#[derive(Abi)]`.
///
/// # Safety
///
/// Implemented for tuples only. `Packed` is `#[repr(C)]` and holds the elements in
/// order; `DESCS` describes them in order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of arguments",
    label = "expected a tuple such as `()`, `(1u64,)` or `(&mut world, 2.0f32)`",
    note = "write the arguments as a tuple, one alone as `(value,)`; at most eight, each `Abi` or a plain borrow of it"
)]
pub unsafe trait Arguments {
    /// The arguments in the layout that the shim reads.
    type Packed: Crossing;
    /// The descriptions, in order.
    const DESCS: &'static [&'static Desc];
    /// Moves the arguments into that layout.
    fn pack(self) -> Self::Packed;
    /// The values as literals, where they have one: for the advice in an error.
    #[doc(hidden)]
    fn literals(packed: &Self::Packed) -> Vec<Option<String>>;
}

macro_rules! arguments {
    ($($packed:ident ($($letter:ident $index:tt),*);)*) => {$(
        /// Arguments in C layout: sizes and alignments, which the signature shows, fix it entirely.
        #[repr(C)]
        #[derive(Debug)]
        #[doc(hidden)]
        pub struct $packed<$($letter),*>($(pub $letter),*);

        impl<$($letter: Argument),*> Crossing for $packed<$($letter),*> {
            #[inline]
            fn owned_bytes(&self) -> Option<usize> {
                let $packed(..) = self;
                #[allow(unused_mut, reason = "there may be no argument")]
                let mut bytes = 0;
                $(bytes += self.$index.heap_bytes()?;)*
                Some(bytes)
            }
        }

        // SAFETY: `$packed` is `#[repr(C)]` and both lists are written in the order of the tuple.
        unsafe impl<$($letter: Argument),*> Arguments for ($($letter,)*) {
            type Packed = $packed<$($letter),*>;
            const DESCS: &'static [&'static Desc] = &[$(<$letter as Argument>::DESC),*];

            fn pack(self) -> Self::Packed {
                $packed($(self.$index),*)
            }

            fn literals(packed: &Self::Packed) -> Vec<Option<String>> {
                let $packed(..) = packed;
                vec![$(packed.$index.literal()),*]
            }
        }
    )*};
}

arguments! {
    Packed0 ();
    Packed1 (A 0);
    Packed2 (A 0, B 1);
    Packed3 (A 0, B 1, C 2);
    Packed4 (A 0, B 1, C 2, D 3);
    Packed5 (A 0, B 1, C 2, D 3, E 4);
    Packed6 (A 0, B 1, C 2, D 3, E 4, F 5);
    Packed7 (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    Packed8 (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}
