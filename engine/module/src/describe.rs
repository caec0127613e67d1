//! From a description to its text and hash, at compile time and at run time alike.
//!
//! The text is the truth, the hash its short form. Grammar, by example:
//! `u64#8/8` (size and alignment), `Vec<u8#1/1>#24/8`, `(u8#1/1,u64#8/8)#16/8`,
//! `[u8#1/1;4]#4/1`, `&mut Point{x@0:f64#8/8,y@8:f64#8/8}#16/8`,
//! `Shape{Circle(f64#8/8),Rect{w:f64#8/8,h:f64#8/8},Unit=2}#24/8`, `~Tree` for a mention
//! of an enclosing type, `^Tree` for a type that is compared when it is loaded.

use crate::abi::{Body, Desc, Field, Shape, Variant};

/// FNV-1a, 64 bit: constant-evaluable, and collisions are accidents only, since
/// who can write a module can run any code anyway.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Where a description is written: `N` bytes of text, and always length and hash.
pub(crate) struct Sink<const N: usize> {
    pub(crate) bytes: [u8; N],
    pub(crate) length: usize,
    pub(crate) hash: u64,
    /// Whether something entered by name only.
    pub(crate) by_name: bool,
}

impl<const N: usize> Sink<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], length: 0, hash: FNV_OFFSET, by_name: false }
    }

    pub(crate) const fn byte(&mut self, byte: u8) {
        if self.length < N {
            self.bytes[self.length] = byte;
        }
        self.length += 1;
        self.hash = (self.hash ^ byte as u64).wrapping_mul(FNV_PRIME);
    }

    pub(crate) const fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            self.byte(bytes[index]);
            index += 1;
        }
    }

    const fn number(&mut self, number: u128) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    pub(crate) const fn desc(&mut self, desc: &Desc) {
        match &desc.body {
            Body::Leaf => self.text(desc.name),
            Body::Args(arguments) => {
                self.text(desc.name);
                self.byte(b'<');
                self.list(arguments);
                self.byte(b'>');
            }
            Body::Tuple(elements) => {
                self.byte(b'(');
                self.list(elements);
                self.byte(b')');
            }
            Body::Array(element, length) => {
                self.byte(b'[');
                self.desc(element);
                self.byte(b';');
                self.number(*length as u128);
                self.byte(b']');
            }
            Body::Ref(target) => {
                self.text(desc.name);
                // The target's own size and alignment follow it; a borrow's are a pointer's.
                return self.desc(target);
            }
            Body::Slice(element) => {
                self.text(desc.name);
                self.byte(b'[');
                self.desc(element);
                self.byte(b']');
            }
            Body::Struct(fields) => {
                self.text(desc.name);
                self.fields(fields);
            }
            Body::Enum(variants) => {
                self.text(desc.name);
                self.variants(variants);
            }
            Body::Mention => {
                self.byte(b'~');
                // Known inside the description that mentions it: no size of its own.
                return self.text(desc.name);
            }
            Body::ByName(_) => {
                self.by_name = true;
                self.byte(b'^');
                self.text(desc.name);
            }
        }
        self.byte(b'#');
        self.number(desc.size as u128);
        self.byte(b'/');
        self.number(desc.align as u128);
    }

    const fn list(&mut self, descs: &[&Desc]) {
        let mut index = 0;
        while index < descs.len() {
            if index > 0 {
                self.byte(b',');
            }
            self.desc(descs[index]);
            index += 1;
        }
    }

    const fn fields(&mut self, fields: &[Field]) {
        self.byte(b'{');
        let mut index = 0;
        while index < fields.len() {
            if index > 0 {
                self.byte(b',');
            }
            self.text(fields[index].name);
            self.byte(b'@');
            self.number(fields[index].offset as u128);
            self.byte(b':');
            self.desc(fields[index].ty);
            index += 1;
        }
        self.byte(b'}');
    }

    const fn variants(&mut self, variants: &[Variant]) {
        self.byte(b'{');
        let mut index = 0;
        while index < variants.len() {
            if index > 0 {
                self.byte(b',');
            }
            self.variant(&variants[index]);
            index += 1;
        }
        self.byte(b'}');
    }

    const fn variant(&mut self, variant: &Variant) {
        self.text(variant.name);
        match &variant.shape {
            Shape::Unit => {}
            Shape::Tuple(elements) => {
                self.byte(b'(');
                self.list(elements);
                self.byte(b')');
            }
            Shape::Struct(fields) => {
                self.byte(b'{');
                let mut index = 0;
                while index < fields.len() {
                    if index > 0 {
                        self.byte(b',');
                    }
                    self.text(fields[index].0);
                    self.byte(b':');
                    self.desc(fields[index].1);
                    index += 1;
                }
                self.byte(b'}');
            }
        }
        if let Some(discriminant) = variant.discriminant {
            self.byte(b'=');
            if discriminant < 0 {
                self.byte(b'-');
            }
            self.number(discriminant.unsigned_abs());
        }
    }

    pub(crate) const fn signature(&mut self, arguments: &[&Desc], result: &Desc) {
        self.byte(b'(');
        self.list(arguments);
        self.text(")->");
        self.desc(result);
    }
}

/// A signature or layout text as people write types: without sizes, offsets and
/// the insides of named types.
///
/// `(u64#8/8,Point{x@0:u64#8/8}#8/8)->()#0/1` becomes `(u64, Point)`.
#[must_use]
pub fn short(text: &str) -> String {
    let mut shown = String::new();
    let mut depth = 0_usize;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '{' => depth += 1,
            // A library that is damaged, or of somebody else's, may close what it never opened.
            '}' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '#' => while characters.next_if(|c| c.is_ascii_digit() || *c == '/').is_some() {},
            '~' | '^' => {}
            ',' => shown.push_str(", "),
            ';' => shown.push_str("; "),
            '-' if characters.peek() == Some(&'>') => {
                characters.next();
                shown.push_str(" -> ");
            }
            other => shown.push(other),
        }
    }
    match shown.strip_suffix(" -> ()") {
        Some(no_result) => no_result.to_owned(),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Abi;
    use crate::signature::Typed;

    fn text<T: Abi>() -> String {
        let mut sink = Sink::<4096>::new();
        sink.desc(<T as Abi>::DESC);
        String::from_utf8(sink.bytes[..sink.length].to_vec()).expect("descriptions are ASCII names")
    }

    #[test]
    fn texts_follow_the_grammar() {
        assert_eq!(text::<u64>(), "u64#8/8");
        assert_eq!(text::<Vec<u8>>(), "Vec<u8#1/1>#24/8");
        assert_eq!(text::<(u8, u64)>(), "(u8#1/1,u64#8/8)#16/8");
        assert_eq!(text::<[u8; 4]>(), "[u8#1/1;4]#4/1");
        assert_eq!(text::<Option<Box<str>>>(), "Option<Box<str>#16/8>#16/8");
    }

    #[test]
    fn short_texts_read_like_rust() {
        let text = Typed::<(&str, &mut [u64], (u8, Vec<i32>)), Option<u64>>::SIGNATURE.text();
        assert_eq!(short(&text), "(&str, &mut [u64], (u8, Vec<i32>)) -> Option<u64>");
        assert_eq!(short("(Point{x@0:u64#8/8,y@8:u64#8/8}#16/8)->()#0/1"), "(Point)");
        assert_eq!(short(&Typed::<(), [u8; 4]>::SIGNATURE.text()), "() -> [u8; 4]");
    }

    #[test]
    fn short_texts_of_what_is_no_type_are_texts_all_the_same() {
        assert_eq!(short("}u64#8/8"), "u64");
        assert_eq!(short("Point{{x}"), "Point");
        assert_eq!(short("}}A{x}#,-->~^"), "A, - -> ");
    }

    #[test]
    fn the_hash_follows_the_text() {
        assert_eq!(Typed::<(u64,), u64>::HASH, Typed::<(u64,), u64>::HASH);
        assert_ne!(Typed::<(u64,), u64>::HASH, Typed::<(i64,), u64>::HASH);
        assert_ne!(Typed::<(&u64,), u64>::HASH, Typed::<(&mut u64,), u64>::HASH);
        assert_ne!(Typed::<(&[u8],), ()>::HASH, Typed::<(&Vec<u8>,), ()>::HASH);
    }
}
