//! [`Abi`] and [`Argument`] for the types of the standard library.
//!
//! The list is what lets safe code unload a module, so every absence has a
//! reason. Not here: `&'static`, function pointers, trait objects and `Cow` (may
//! point into the image); `HashMap` and `HashSet` (an empty one points at a static
//! of the image that made it); `Arc<str>` and `Arc<[T]>` (so does their default);
//! `Rc`, `Arc` (may be shared with code that stays behind); `io::Error`, `fmt::Arguments`,
//! `Waker` (hold vtables); raw pointers; locks of std or parking_lot (each image
//! has its own parking table). *Source*: our tests in `tests/ui`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::marker::PhantomData;
use std::num::NonZero;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use crate::abi::{Abi, Argument, Body, Desc};

/// Both traits for an owned type: `At` is the type itself.
macro_rules! owned {
    ($(=> [$($generic:tt)*])? $ty:ty, $name:expr, $body:expr $(, $value:ident => $literal:expr)?) => {
        // SAFETY:
        // 1. Description: `describe` takes size and alignment from the compiler, the
        //    body from the type's own parameters.
        // 2. Addresses: the module's documentation argues the list type by type.
        // 3. Memory: these types use the global allocator or none.
        unsafe impl$(<$($generic)*>)? Abi for $ty {
            const DESC: &'static Desc = &describe::<$ty>($name, $body);
        }
        // SAFETY:
        // 1. Description: the same as for `Abi`.
        // 2. `At`: the type is `'static`, there is no lifetime to replace.
        unsafe impl$(<$($generic)*>)? Argument for $ty {
            type At<'a> = $ty;
            const DESC: &'static Desc = <$ty as Abi>::DESC;
            $(fn literal(&self) -> Option<String> {
                let $value = self;
                Some($literal)
            })?
        }
    };
}

const fn describe<T>(name: &'static str, body: Body) -> Desc {
    Desc { name, size: size_of::<T>(), align: align_of::<T>(), body }
}

macro_rules! numbers {
    ($($ty:ty)*) => { $(owned!($ty, stringify!($ty), Body::Leaf, value => value.to_string());)* };
}

macro_rules! leaves {
    ($($ty:ty)*) => { $(owned!($ty, stringify!($ty), Body::Leaf);)* };
}

numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);
leaves!(bool char String Duration PathBuf OsString);
owned!((), "()", Body::Leaf);

/// Numbers that `NonZero` takes; their names with the wrapper's.
macro_rules! non_zero {
    ($($ty:ty)*) => {
        $(owned!(NonZero<$ty>, "NonZero", Body::Args(&[<$ty as Abi>::DESC]));)*
    };
}
non_zero!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

owned!(=> [T: Abi] Vec<T>, "Vec", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi] Box<T>, "Box", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi] Box<[T]>, "Box<[]>", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [] Box<str>, "Box<str>", Body::Leaf);
owned!(=> [T: Abi] VecDeque<T>, "VecDeque", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi + Ord] BinaryHeap<T>, "BinaryHeap", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi] BTreeSet<T>, "BTreeSet", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [K: Abi, V: Abi] BTreeMap<K, V>, "BTreeMap", Body::Args(&[<K as Abi>::DESC, <V as Abi>::DESC]));
owned!(=> [T: Abi, E: Abi] Result<T, E>, "Result", Body::Args(&[<T as Abi>::DESC, <E as Abi>::DESC]));
owned!(=> [T: Abi] Range<T>, "Range", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi] RangeInclusive<T>, "RangeInclusive", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi] Reverse<T>, "Reverse", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi] PhantomData<T>, "PhantomData", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi, const N: usize] [T; N], "[]", Body::Array(<T as Abi>::DESC, N));

macro_rules! tuples {
    ($(($($letter:ident)+))*) => {
        $(owned!(=> [$($letter: Abi),+] ($($letter,)+), "()", Body::Tuple(&[$(<$letter as Abi>::DESC),+]));)*
    };
}
tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

// SAFETY:
// 1. Description: size and alignment from the compiler, the body from `T`.
// 2. Addresses: an `Option` holds what `T` holds and nothing else.
// 3. Memory: `T`'s.
unsafe impl<T: Abi> Abi for Option<T> {
    const DESC: &'static Desc = &describe::<Self>("Option", Body::Args(&[<T as Abi>::DESC]));
}

// SAFETY:
// 1. Description: size and alignment from the compiler, the body from `T`.
// 2. `At`: `Option` of `T::At`, which has `T`'s layout with the lifetimes replaced.
unsafe impl<T: Argument> Argument for Option<T> {
    type At<'a> = Option<T::At<'a>>;
    const DESC: &'static Desc = &describe::<Self>("Option", Body::Args(&[<T as Argument>::DESC]));
}

// SAFETY:
// 1. Description: a leaf of this name is always this borrow.
// 2. `At`: the lifetime is the only one.
unsafe impl Argument for &str {
    type At<'a> = &'a str;
    const DESC: &'static Desc = &describe::<Self>("&str", Body::Leaf);
}

// SAFETY:
// 1. Description: prefix and target tell the type.
// 2. `At`: the lifetime is the only one, `T` is `'static`.
unsafe impl<T: Abi> Argument for &T {
    type At<'a> = &'a T;
    const DESC: &'static Desc = &describe::<Self>("&", Body::Ref(<T as Abi>::DESC));
}

// SAFETY:
// 1. Description: prefix and target tell the type.
// 2. `At`: the lifetime is the only one, `T` is `'static`.
unsafe impl<T: Abi> Argument for &mut T {
    type At<'a> = &'a mut T;
    const DESC: &'static Desc = &describe::<Self>("&mut ", Body::Ref(<T as Abi>::DESC));
}

// SAFETY:
// 1. Description: prefix and element tell the type.
// 2. `At`: the lifetime is the only one, `T` is `'static`.
unsafe impl<T: Abi> Argument for &[T] {
    type At<'a> = &'a [T];
    const DESC: &'static Desc = &describe::<Self>("&", Body::Slice(<T as Abi>::DESC));
}

// SAFETY:
// 1. Description: prefix and element tell the type.
// 2. `At`: the lifetime is the only one, `T` is `'static`.
unsafe impl<T: Abi> Argument for &mut [T] {
    type At<'a> = &'a mut [T];
    const DESC: &'static Desc = &describe::<Self>("&mut ", Body::Slice(<T as Abi>::DESC));
}

/// Nothing implements this: it only carries the advice for types that cannot cross.
#[diagnostic::on_unimplemented(
    message = "a `HashMap` or `HashSet` cannot be handed over between a host and a module",
    label = "use `BTreeMap` or `BTreeSet` instead",
    note = "an empty `HashMap` points at a static inside the code that made it, which may be unloaded: use BTreeMap"
)]
pub trait UseBTreeMapInstead {}

// SAFETY: never applies, since nothing implements `UseBTreeMapInstead`; the
// implementation exists to give its advice in place of a bare refusal.
unsafe impl<K: UseBTreeMapInstead + 'static, V: 'static, S: 'static> Abi for HashMap<K, V, S> {
    const DESC: &'static Desc = &describe::<Self>("HashMap", Body::Leaf);
}
// SAFETY: never applies, as above.
unsafe impl<K: UseBTreeMapInstead + 'static, V: 'static, S: 'static> Argument for HashMap<K, V, S> {
    type At<'a> = Self;
    const DESC: &'static Desc = &describe::<Self>("HashMap", Body::Leaf);
}
// SAFETY: never applies, as above.
unsafe impl<K: UseBTreeMapInstead + 'static, S: 'static> Abi for HashSet<K, S> {
    const DESC: &'static Desc = &describe::<Self>("HashSet", Body::Leaf);
}
// SAFETY: never applies, as above.
unsafe impl<K: UseBTreeMapInstead + 'static, S: 'static> Argument for HashSet<K, S> {
    type At<'a> = Self;
    const DESC: &'static Desc = &describe::<Self>("HashSet", Body::Leaf);
}
