//! Layouts as people write types: what diffs and skeletons are made of.

use crate::abi::{Body, Desc, Shape};
use crate::signature::Signature;

/// How the types of one layout are written.
pub(super) struct Writer<'a> {
    /// Whether types of the standard library that are not in scope everywhere get their paths.
    pub(super) has_paths: bool,
    /// The name of a type that a derive described.
    pub(super) name: &'a dyn Fn(&'static Desc) -> String,
}

/// Where the types of the standard library are that a file has to import.
const PATHS: [(&str, &str); 12] = [
    ("BTreeMap", "std::collections::"),
    ("BTreeSet", "std::collections::"),
    ("BinaryHeap", "std::collections::"),
    ("Duration", "std::time::"),
    ("NonZero", "std::num::"),
    ("OsString", "std::ffi::"),
    ("PathBuf", "std::path::"),
    ("PhantomData", "std::marker::"),
    ("Range", "std::ops::"),
    ("RangeInclusive", "std::ops::"),
    ("Reverse", "std::cmp::"),
    ("VecDeque", "std::collections::"),
];

impl Writer<'_> {
    /// A type, inside of the named type `within`.
    pub(super) fn ty(&self, desc: &'static Desc, within: &'static Desc) -> String {
        let list = |descs: &'static [&'static Desc]| {
            let written: Vec<_> = descs.iter().map(|desc| self.ty(desc, within)).collect();
            written.join(", ")
        };
        match &desc.body {
            Body::Leaf => format!("{}{}", self.path(desc.name), desc.name),
            Body::Args(arguments) if desc.name == "Box<[]>" => {
                format!("Box<[{}]>", list(arguments))
            }
            Body::Args(arguments) => {
                format!("{}{}<{}>", self.path(desc.name), desc.name, list(arguments))
            }
            Body::Tuple([only]) => format!("({},)", self.ty(only, within)),
            Body::Tuple(elements) => format!("({})", list(elements)),
            Body::Array(element, length) => format!("[{}; {length}]", self.ty(element, within)),
            Body::Ref(target) => format!("{}{}", desc.name, self.ty(target, within)),
            Body::Slice(element) => format!("{}[{}]", desc.name, self.ty(element, within)),
            Body::Struct(_) | Body::Enum(_) => (self.name)(desc),
            // Only a type's own description mentions it.
            Body::Mention => (self.name)(within),
            Body::ByName(full) => self.ty(full(), within),
        }
    }

    fn path(&self, name: &str) -> &'static str {
        let found = PATHS.iter().find(|(known, _)| self.has_paths && *known == name);
        found.map_or("", |(_, path)| path)
    }

    /// A variant of an enum.
    pub(super) fn variant(&self, name: &str, shape: &Shape, within: &'static Desc) -> String {
        let field = |desc: &'static Desc| {
            format!("{}{}", self.by_name(desc, within), self.ty(desc, within))
        };
        let name = identifier(name);
        match shape {
            Shape::Unit => name,
            Shape::Tuple(fields) => {
                let fields: Vec<_> = fields.iter().map(|desc| field(desc)).collect();
                format!("{name}({})", fields.join(", "))
            }
            Shape::Struct(fields) => {
                let fields = fields.iter().map(|(field, desc)| {
                    let (mark, ty) = (self.by_name(desc, within), self.ty(desc, within));
                    format!("{mark}{}: {ty}", identifier(field))
                });
                format!("{name} {{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// What stands before a field that is described by name; nothing where no code is written.
    pub(super) fn by_name(&self, desc: &'static Desc, within: &'static Desc) -> String {
        if !self.has_paths || !matches!(desc.body, Body::ByName(_)) {
            return String::new();
        }
        let is_same = self.ty(desc, within).replace(' ', "") == desc.name;
        if is_same {
            "#[abi(by_name)] ".to_owned()
        } else {
            format!("#[abi(by_name = {:?})] ", desc.name)
        }
    }
}

/// A type's own name, without what its `repr` adds.
pub(super) fn own_name(desc: &'static Desc) -> &'static str {
    desc.name.split(':').next().unwrap_or(desc.name)
}

/// What stands in the `repr` of a type, if there is one.
pub(super) fn repr(desc: &'static Desc) -> Option<&'static str> {
    desc.name.split_once(':').map(|(_, repr)| repr)
}

/// The number that is written behind a variant; `None` where it counts on from the one before.
pub(super) fn explicit(discriminant: Option<i128>, before: &mut i128) -> Option<i128> {
    let number = discriminant?;
    let follows = number == *before + 1;
    *before = number;
    (!follows).then_some(number)
}

/// The whole layout, as text to be compared.
pub(super) fn text(desc: &'static Desc) -> String {
    Signature { arguments: &[], result: desc }.full_text()
}

/// The types with names inside of one, and inside of those, each once.
pub(super) fn named_inside(desc: &'static Desc) -> Vec<&'static Desc> {
    let mut found = Vec::new();
    members(desc, &mut |member| collect(member, &mut found));
    found.retain(|inside: &&Desc| inside.name != desc.name);
    found
}

/// The types with names that a type names, itself among them, and inside of those.
pub(super) fn collect(desc: &'static Desc, found: &mut Vec<&'static Desc>) {
    match &desc.body {
        Body::Struct(_) | Body::Enum(_) => {
            if !found.iter().any(|known| known.name == desc.name) {
                found.push(desc);
                members(desc, &mut |member| collect(member, found));
            }
        }
        Body::ByName(full) => collect(full(), found),
        _ => members(desc, &mut |member| collect(member, found)),
    }
}

/// What a description consists of.
fn members(desc: &'static Desc, visit: &mut dyn FnMut(&'static Desc)) {
    match &desc.body {
        Body::Leaf | Body::Mention | Body::ByName(_) => {}
        Body::Args(inner) | Body::Tuple(inner) => inner.iter().for_each(|desc| visit(desc)),
        Body::Array(inner, _) | Body::Ref(inner) | Body::Slice(inner) => visit(inner),
        Body::Struct(fields) => fields.iter().for_each(|field| visit(field.ty)),
        Body::Enum(variants) => variants.iter().for_each(|variant| {
            in_shape(&variant.shape).into_iter().for_each(&mut *visit);
        }),
    }
}

/// The types of a variant's fields.
pub(super) fn in_shape(shape: &Shape) -> Vec<&'static Desc> {
    match shape {
        Shape::Unit => Vec::new(),
        Shape::Tuple(fields) => fields.to_vec(),
        Shape::Struct(fields) => fields.iter().map(|(_, desc)| *desc).collect(),
    }
}

/// Words that are no names unless they are written raw.
const KEYWORDS: [&str; 48] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// A name as it is written in code.
pub(super) fn identifier(name: &str) -> String {
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}
