//! The two traits of what may cross the boundary, and their description.

/// Owned plain data that may cross a module boundary: as argument, result, field
/// or element.
///
/// Derive it: `#[derive(Abi)]` describes the layout, which both sides compare
/// before a call is possible. It is implemented for numbers, `bool`, `char`, `()`,
/// `String`, `Vec`, `Box`, `VecDeque`, `BTreeMap`, `BTreeSet`, `BinaryHeap`, `Option`,
/// `Result`, arrays, tuples, ranges, `NonZero`, `Duration`, `PathBuf`, `OsString` and `PhantomData`.
///
/// # Safety
///
/// Who implements it by hand promises:
///
/// 1. `DESC` describes `Self` truthfully: name, size, alignment, every field or
///    variant. Two types with equal descriptions, compiled by one compiler
///    commit, must have the same layout and the same valid values.
/// 2. No value of the type ever holds an address inside the image of the code
///    that made it: no `&'static`, function pointer, trait object, nor a container
///    whose empty form points at a static.
/// 3. The type's memory comes from the global allocator, if it has any.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be handed over between a host and a module",
    label = "not owned plain data (`Abi`)",
    note = "results, fields and elements must be owned: numbers, String, Vec, Box, BTreeMap, Option, Result, arrays, tuples, or a type with `#[derive(Abi)]`",
    note = "references are allowed as arguments only; function pointers, trait objects, Rc, Arc, Cow, HashMap and locks may point into the module's image and would dangle once it is unloaded"
)]
pub unsafe trait Abi: Argument + Sized + 'static {
    /// What the type looks like in memory.
    const DESC: &'static Desc;
}

/// What may be passed to an export: every [`Abi`] type, and `&str`, `&[T]`, `&T`,
/// `&mut T` of such, and `Option` of these.
///
/// # Safety
///
/// Who implements it by hand promises:
///
/// 1. `DESC` describes `Self` truthfully, as for [`Abi`].
/// 2. `At<'a>` is `Self` with every lifetime replaced by `'a`, so that it has the
///    same layout and an export cannot keep a borrow beyond its call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of an export",
    label = "neither owned plain data (`Abi`) nor a plain borrow of it",
    note = "arguments may be owned `Abi` types, `&str`, `&[T]`, `&T`, `&mut T` with `T: Abi`, and `Option` of these; derive `Abi` for your own types"
)]
pub unsafe trait Argument {
    /// The same type, borrowed for `'a`.
    type At<'a>;

    /// What the type looks like in memory.
    const DESC: &'static Desc;

    /// Heap bytes that the value owns, and that change hands with it; `None` where that cannot be told: a `BTreeMap`, and what
    /// `&mut` lets the callee change.
    #[doc(hidden)]
    fn heap_bytes(&self) -> Option<usize> {
        if std::mem::needs_drop::<Self>() { None } else { Some(0) }
    }

    /// The value as a literal without its suffix, for the advice in an error
    /// (`write 2u64`); `None` where the type has no literals.
    #[doc(hidden)]
    fn literal(&self) -> Option<String> {
        None
    }
}

/// A type's layout, as constant data.
#[derive(Debug, Clone, Copy)]
pub struct Desc {
    /// The name that the text shows.
    pub name: &'static str,
    /// `size_of`, in bytes.
    pub size: usize,
    /// `align_of`, in bytes.
    pub align: usize,
    /// What is inside.
    pub body: Body,
}

/// What a type consists of.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// Nothing that is described further: a number, a string.
    Leaf,
    /// A generic container and its arguments.
    Args(&'static [&'static Desc]),
    /// A tuple.
    Tuple(&'static [&'static Desc]),
    /// An array and its length.
    Array(&'static Desc, usize),
    /// A borrow: the prefix (`&`, `&mut `) stands in the name.
    Ref(&'static Desc),
    /// A borrowed slice.
    Slice(&'static Desc),
    /// A struct, by field.
    Struct(&'static [Field]),
    /// An enum, by variant.
    Enum(&'static [Variant]),
    /// A mention, inside a type's description, of that type itself.
    Mention,
    /// A field that `#[abi(by_name)]` keeps out of the constant description, since
    /// a cycle of types cannot be evaluated; compared in full when a version is loaded.
    ByName(fn() -> &'static Desc),
}

/// One field of a struct.
#[derive(Debug)]
pub struct Field {
    /// Its name; the index in a tuple struct.
    pub name: &'static str,
    /// `offset_of!`, in bytes.
    pub offset: usize,
    /// Its type.
    pub ty: &'static Desc,
}

/// One variant of an enum.
#[derive(Debug)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// Its discriminant, where all variants are fieldless.
    pub discriminant: Option<i128>,
    /// Its fields in order. Offsets inside variants are not stable Rust; the
    /// compiler commit, which both sides share, fixes them.
    pub shape: Shape,
}

/// The fields of a variant.
#[derive(Debug)]
pub enum Shape {
    /// None.
    Unit,
    /// By position.
    Tuple(&'static [&'static Desc]),
    /// By name.
    Struct(&'static [(&'static str, &'static Desc)]),
}
