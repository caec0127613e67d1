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
use std::mem::needs_drop;
use std::num::NonZero;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use crate::abi::{Abi, Argument, Body, Desc};

/// Both traits for an owned type: `At` is the type itself.
macro_rules! owned {
    ($(=> [$($generic:tt)*])? $ty:ty, $name:expr, $body:expr $(, $value:ident => $literal:expr)? $(; $owner:ident owns $bytes:expr)?) => {
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
            $(
                #[inline]
                fn heap_bytes(&self) -> Option<usize> {
                    let $owner = self;
                    $bytes
                }
            )?
        }
    };
}

const fn describe<T>(name: &'static str, body: Body) -> Desc {
    Desc { name, size: size_of::<T>(), align: align_of::<T>(), body }
}

/// What a buffer of so many elements owns, with what they own.
fn elements<'a, T: Abi>(capacity: usize, list: impl IntoIterator<Item = &'a T>) -> Option<usize> {
    Some(capacity * size_of::<T>() + inside(list)?)
}

/// What values own. Whoever made them went through all of them as well.
fn inside<'a, T: Abi>(values: impl IntoIterator<Item = &'a T>) -> Option<usize> {
    if !needs_drop::<T>() {
        return Some(0);
    }
    values.into_iter().map(Argument::heap_bytes).sum()
}

/// What the callee may leave in a value of its caller: nobody wants to go through a whole world at each step to know.
fn lent<T>() -> Option<usize> {
    if needs_drop::<T>() { None } else { Some(0) }
}

macro_rules! numbers {
    ($($ty:ty)*) => { $(owned!($ty, stringify!($ty), Body::Leaf, value => value.to_string());)* };
}

macro_rules! leaves {
    ($($ty:ty)*) => { $(owned!($ty, stringify!($ty), Body::Leaf);)* };
}

numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);
leaves!(bool char Duration);
owned!(String, "String", Body::Leaf; text owns Some(text.capacity()));
owned!(PathBuf, "PathBuf", Body::Leaf; path owns Some(path.capacity()));
owned!(OsString, "OsString", Body::Leaf; text owns Some(text.capacity()));
owned!((), "()", Body::Leaf);

/// Numbers that `NonZero` takes; their names with the wrapper's.
macro_rules! non_zero {
    ($($ty:ty)*) => {
        $(owned!(NonZero<$ty>, "NonZero", Body::Args(&[<$ty as Abi>::DESC]));)*
    };
}
non_zero!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

owned!(=> [T: Abi] Vec<T>, "Vec", Body::Args(&[<T as Abi>::DESC]); list owns elements(list.capacity(), list));
owned!(=> [T: Abi] Box<T>, "Box", Body::Args(&[<T as Abi>::DESC]); value owns Some(size_of::<T>() + (**value).heap_bytes()?));
owned!(=> [T: Abi] Box<[T]>, "Box<[]>", Body::Args(&[<T as Abi>::DESC]); list owns elements(list.len(), list.iter()));
owned!(=> [] Box<str>, "Box<str>", Body::Leaf; text owns Some(text.len()));
owned!(=> [T: Abi] VecDeque<T>, "VecDeque", Body::Args(&[<T as Abi>::DESC]); list owns elements(list.capacity(), list));
owned!(=> [T: Abi + Ord] BinaryHeap<T>, "BinaryHeap", Body::Args(&[<T as Abi>::DESC]); heap owns elements(heap.capacity(), heap));
owned!(=> [T: Abi] BTreeSet<T>, "BTreeSet", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [K: Abi, V: Abi] BTreeMap<K, V>, "BTreeMap", Body::Args(&[<K as Abi>::DESC, <V as Abi>::DESC]));
owned!(=> [T: Abi, E: Abi] Result<T, E>, "Result", Body::Args(&[<T as Abi>::DESC, <E as Abi>::DESC]); result owns result.as_ref().map_or_else(Argument::heap_bytes, Argument::heap_bytes));
owned!(=> [T: Abi] Range<T>, "Range", Body::Args(&[<T as Abi>::DESC]); range owns inside([&range.start, &range.end]));
owned!(=> [T: Abi] RangeInclusive<T>, "RangeInclusive", Body::Args(&[<T as Abi>::DESC]); range owns inside([range.start(), range.end()]));
owned!(=> [T: Abi] Reverse<T>, "Reverse", Body::Args(&[<T as Abi>::DESC]); value owns value.0.heap_bytes());
owned!(=> [T: Abi] PhantomData<T>, "PhantomData", Body::Args(&[<T as Abi>::DESC]));
owned!(=> [T: Abi, const N: usize] [T; N], "[]", Body::Array(<T as Abi>::DESC, N); list owns inside(list));

macro_rules! tuples {
    ($(($($letter:ident)+))*) => {
        $(owned!(
            => [$($letter: Abi),+] ($($letter,)+), "()", Body::Tuple(&[$(<$letter as Abi>::DESC),+]);
            tuple owns {
                #[allow(non_snake_case, reason = "the letters of the types name the values")]
                let ($($letter,)+) = tuple;
                let mut bytes = 0;
                $(bytes += $letter.heap_bytes()?;)+
                Some(bytes)
            }
        );)*
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

    #[inline]
    fn heap_bytes(&self) -> Option<usize> {
        self.as_ref().map_or(Some(0), Argument::heap_bytes)
    }
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

    #[inline]
    fn heap_bytes(&self) -> Option<usize> {
        lent::<T>()
    }
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

    #[inline]
    fn heap_bytes(&self) -> Option<usize> {
        lent::<T>()
    }
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
