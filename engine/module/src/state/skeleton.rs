//! The step that is missing, as code to be pasted below the new type.

use super::source::{Writer, explicit, identifier, in_shape, named_inside, own_name, repr, text};
use crate::abi::{Body, Desc, Field, Shape, Variant};
use crate::signature::Signature;

/// The former type and a step from it to the new one, which compiles as it is: it keeps what has its name and type
/// still, gives new fields their first value, and refuses to guess what becomes of the rest.
///
/// Types are written by their names alone: one that is not in scope where the code is pasted has to be imported, and one
/// with parameters gets them added.
#[must_use]
pub fn skeleton(
    schema: &str,
    old: &'static Signature,
    old_version: u16,
    new: &'static Signature,
    new_version: u16,
) -> String {
    let pair = Pair { schema, version: old_version, old: old.result, new: new.result };
    let former: Vec<_> =
        named_inside(pair.old).into_iter().filter(|desc| !pair.is_kept(desc)).collect();
    let mut code = String::new();
    if new_version <= old_version {
        let next = old_version.saturating_add(1);
        code.push_str(&format!(
            "// Write `#[state(version = {next})]` on {schema}: what is kept has version {old_version}.\n\n"
        ));
    }
    for part in former {
        let name = own_name(part);
        let head = format!("#[hotswap_module::state(part)]\n#[abi(name = \"{name}\")]\n");
        code.push_str(&format!("/// {name} of {schema} {old_version}.\n{head}"));
        code.push_str(&pair.definition(part));
        code.push('\n');
    }
    code.push_str(&format!(
        "/// {schema} {old_version}.\n#[hotswap_module::state(version = {old_version}, name = \"{schema}\")]\n"
    ));
    code.push_str(&pair.definition(pair.old));
    code.push('\n');
    code.push_str(&pair.step());
    code
}

struct Pair<'a> {
    schema: &'a str,
    /// The former one's.
    version: u16,
    old: &'static Desc,
    new: &'static Desc,
}

impl Pair<'_> {
    /// Whether the new code has that type still, as it was.
    fn is_kept(&self, desc: &'static Desc) -> bool {
        let described = text(desc);
        named_inside(self.new).into_iter().any(|new| text(new) == described)
    }

    fn former_name(&self, desc: &'static Desc) -> String {
        match self.is_kept(desc) {
            true => own_name(desc).to_owned(),
            false => format!("{}V{}", own_name(desc), self.version),
        }
    }

    /// A type of the old value, as it is written in the skeleton.
    fn former(&self, ty: &'static Desc, within: &'static Desc) -> String {
        Writer { has_paths: true, name: &|desc| self.former_name(desc) }.ty(ty, within)
    }

    /// A type of the new value, as its author wrote it.
    fn current(&self, ty: &'static Desc) -> String {
        Writer { has_paths: true, name: &|desc| own_name(desc).to_owned() }.ty(ty, self.new)
    }

    /// A former struct or enum.
    fn definition(&self, desc: &'static Desc) -> String {
        let writer = Writer { has_paths: true, name: &|desc| self.former_name(desc) };
        let name = self.former_name(desc);
        let repr = repr(desc).map_or(String::new(), |repr| format!("#[repr({repr})]\n"));
        let field = |field: &Field| {
            format!("{}{}", writer.by_name(field.ty, desc), writer.ty(field.ty, desc))
        };
        match &desc.body {
            Body::Struct([]) => format!("{repr}struct {name};\n"),
            Body::Struct(fields) if is_tuple(fields) => {
                let fields: Vec<_> = fields.iter().map(field).collect();
                format!("{repr}struct {name}({});\n", fields.join(", "))
            }
            Body::Struct(fields) => {
                let fields = fields.iter().map(|field| {
                    let (mark, ty) = (writer.by_name(field.ty, desc), writer.ty(field.ty, desc));
                    format!("    {mark}{}: {ty},\n", identifier(field.name))
                });
                format!("{repr}struct {name} {{\n{}}}\n", fields.collect::<String>())
            }
            Body::Enum(variants) => {
                let mut before = -1;
                let variants = variants.iter().map(|variant| {
                    let shown = writer.variant(variant.name, &variant.shape, desc);
                    match explicit(variant.discriminant, &mut before) {
                        Some(number) => format!("    {shown} = {number},\n"),
                        None => format!("    {shown},\n"),
                    }
                });
                format!("{repr}enum {name} {{\n{}}}\n", variants.collect::<String>())
            }
            _ => String::new(),
        }
    }

    fn step(&self) -> String {
        let (old, body) = match (&self.old.body, &self.new.body) {
            (Body::Struct(old), Body::Struct(new)) => self.fields(old, new),
            (Body::Enum(old), Body::Enum(new)) => self.variants(old, new),
            _ => ("_old", Self::nothing()),
        };
        let (schema, version, former) = (self.schema, self.version, self.former_name(self.old));
        let name = snake_case(schema);
        let back = match (&self.old.body, &self.new.body) {
            (Body::Struct(old), Body::Struct(new)) => self.back(old, new),
            _ => None,
        };
        let (head, back) = match back {
            Some((new, body)) => (
                format!(
                    "#[hotswap_module::migrate(from = {version}, down = {name}_to_{version})]\n"
                ),
                format!("\nfn {name}_to_{version}({new}: {schema}) -> {former} {{\n{body}}}\n"),
            ),
            None => (
                format!(
                    "// A rollback takes `down`: a function from {schema} to {former}. Without one the host must allow it.\n\
                     #[hotswap_module::migrate(from = {version})]\n"
                ),
                String::new(),
            ),
        };
        format!(
            "{head}fn {name}_from_{version}({old}: {former}) -> Result<{schema}, String> {{\n{body}}}\n{back}"
        )
    }

    /// The way back, where the new value has all that the old one had.
    fn back(&self, old: &'static [Field], new: &'static [Field]) -> Option<(&'static str, String)> {
        let mut fields = String::new();
        for field in old {
            let same = new.iter().find(|other| other.name == field.name)?;
            if !self.is_same(field.ty, same.ty) {
                return None;
            }
            let name = identifier(field.name);
            fields.push_str(&format!("        {name}: new.{name},\n"));
        }
        let parameter = if old.is_empty() { "_new" } else { "new" };
        Some((parameter, format!("    {} {{\n{fields}    }}\n", self.former_name(self.old))))
    }

    /// What can be said where nothing of the old value has a place.
    fn nothing() -> String {
        "    Err(\"say what becomes of the old value\".to_owned())\n".to_owned()
    }

    fn fields(&self, old: &'static [Field], new: &'static [Field]) -> (&'static str, String) {
        let in_new = |name: &str| new.iter().find(|field| field.name == name);
        let in_old = |name: &str| old.iter().find(|field| field.name == name);
        let mut body = String::new();
        for field in old.iter().filter(|field| in_new(field.name).is_none()) {
            body.push_str(&format!(
                "    // Dropped: {}: {}.\n",
                identifier(field.name),
                self.former(field.ty, self.old)
            ));
        }
        let mut written = Vec::new();
        let mut uses_old = false;
        let mut is_whole = true;
        for field in new {
            let (name, ty) = (identifier(field.name), self.current(field.ty));
            let Some(before) = in_old(field.name) else {
                is_whole = false;
                body.push_str(&format!("    // New, as in the first value: {name}: {ty}.\n"));
                continue;
            };
            let was = self.former(before.ty, self.old);
            let value = if self.is_same(before.ty, field.ty) {
                format!("old.{name}")
            } else if is_lossless(&was, &ty) {
                format!("old.{name}.into()")
            } else {
                // To take the first value here would lose the old one in silence.
                written.push(format!(
                    "{name}: Err(\"say what becomes of {name}, which was {was}\".to_owned())?"
                ));
                continue;
            };
            uses_old = true;
            written.push(format!("{name}: {value}"));
        }
        let parameter = if uses_old { "old" } else { "_old" };
        if written.is_empty() && !is_whole {
            body.push_str("    hotswap_module::first_value()\n");
            return (parameter, body);
        }
        body.push_str(&format!("    Ok({} {{\n", self.schema));
        written.iter().for_each(|field| body.push_str(&format!("        {field},\n")));
        if !is_whole {
            body.push_str("        ..hotswap_module::first_value()?\n");
        }
        body.push_str("    })\n");
        (parameter, body)
    }

    fn variants(&self, old: &'static [Variant], new: &'static [Variant]) -> (&'static str, String) {
        let has_place = |variant: &Variant| {
            new.iter().any(|other| {
                other.name == variant.name && self.is_same_shape(&variant.shape, &other.shape)
            })
        };
        if !old.iter().any(has_place) {
            return ("_old", Self::nothing());
        }
        let mut body = "    Ok(match old {\n".to_owned();
        let (before, after) = (self.former_name(self.old), self.schema);
        for variant in old {
            let name = identifier(variant.name);
            if has_place(variant) {
                let fields = pattern(&variant.shape);
                body.push_str(&format!(
                    "        {before}::{name}{fields} => {after}::{name}{fields},\n"
                ));
            } else {
                body.push_str(&format!(
                    "        {before}::{name} {{ .. }} => return Err(\"say what becomes of {name}\".to_owned()),\n"
                ));
            }
        }
        body.push_str("    })\n");
        ("old", body)
    }

    fn is_same(&self, old: &'static Desc, new: &'static Desc) -> bool {
        self.former(old, self.old) == self.current(new)
    }

    fn is_same_shape(&self, old: &Shape, new: &Shape) -> bool {
        let names = |shape: &Shape| match shape {
            Shape::Unit => None,
            Shape::Tuple(_) => Some(Vec::new()),
            Shape::Struct(fields) => Some(fields.iter().map(|(name, _)| *name).collect()),
        };
        let (before, after) = (in_shape(old), in_shape(new));
        names(old) == names(new)
            && before.len() == after.len()
            && before.iter().zip(after).all(|(before, after)| self.is_same(before, after))
    }
}

/// Whether `into` makes one of the other, and loses nothing.
fn is_lossless(old: &str, new: &str) -> bool {
    // Bits of digits, and whether there is a sign.
    let number = |name: &str| {
        let bits = name.get(1..)?.parse::<u32>().ok()?;
        match name.get(..1)? {
            "u" => Some((bits, false, false)),
            "i" => Some((bits - 1, true, false)),
            "f" if bits == 32 => Some((24, true, true)),
            "f" => Some((53, true, true)),
            _ => None,
        }
    };
    match (number(old), number(new)) {
        (Some((before, is_signed, is_float)), Some((after, takes_signs, takes_floats))) => {
            before < after && (takes_signs || !is_signed) && (takes_floats || !is_float)
        }
        _ => matches!((old, new), ("String", "Box<str>") | ("Box<str>", "String")),
    }
}

/// The fields of a variant, by names that do for taking it apart and for putting it together.
fn pattern(shape: &Shape) -> String {
    match shape {
        Shape::Unit => String::new(),
        Shape::Tuple(fields) => {
            let names: Vec<_> = (1..=fields.len()).map(|place| format!("value_{place}")).collect();
            format!("({})", names.join(", "))
        }
        Shape::Struct(fields) => {
            let names: Vec<_> = fields.iter().map(|(name, _)| identifier(name)).collect();
            format!(" {{ {} }}", names.join(", "))
        }
    }
}

fn is_tuple(fields: &[Field]) -> bool {
    fields.iter().all(|field| field.name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_widened_and_never_narrowed() {
        let widened =
            [("u8", "u16"), ("u32", "i64"), ("i8", "i128"), ("f32", "f64"), ("u16", "f32")];
        for (old, new) in widened {
            assert!(is_lossless(old, new), "{old} {new}");
            assert!(!is_lossless(new, old), "{new} {old}");
        }
        let not = [
            ("u32", "i32"),
            ("i8", "u16"),
            ("u64", "f64"),
            ("u8", "usize"),
            ("f32", "u64"),
            ("é", "u8"),
        ];
        for (old, new) in not {
            assert!(!is_lossless(old, new), "{old} {new}");
        }
        assert!(is_lossless("String", "Box<str>") && is_lossless("Box<str>", "String"));
    }

    #[test]
    fn steps_are_named_like_functions() {
        assert_eq!(snake_case("GameWorld"), "game_world");
        assert_eq!(snake_case("Counters_2"), "counters_2");
    }
}
