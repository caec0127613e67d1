//! What a function takes and gives, as both sides compare it.

use std::collections::VecDeque;
use std::marker::PhantomData;

use crate::abi::{Abi, Body, Desc, Shape};
use crate::arguments::Arguments;
use crate::describe::Sink;

/// The arguments and the result of an export.
#[derive(Debug)]
pub struct Signature {
    /// The arguments, in order.
    pub arguments: &'static [&'static Desc],
    /// The result; `()` when there is none.
    pub result: &'static Desc,
}

impl Signature {
    const fn write<const N: usize>(&self) -> Sink<N> {
        let mut sink = Sink::new();
        sink.signature(self.arguments, self.result);
        sink
    }

    /// Length of the text in bytes.
    #[must_use]
    pub const fn text_length(&self) -> usize {
        self.write::<0>().length
    }

    /// The text, for a constant of the length that `text_length` gives.
    #[must_use]
    pub const fn text_bytes<const N: usize>(&self) -> [u8; N] {
        self.write::<N>().bytes
    }

    /// The hash of the text. Its lowest bit tells whether a type enters by name only.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        let sink = self.write::<0>();
        (sink.hash & !1) | sink.by_name as u64
    }

    /// Whether a signature of this hash has a type that enters by name only, so that equal
    /// texts are not enough and [`Signature::full_text`] decides.
    #[must_use]
    pub const fn is_by_name(hash: u64) -> bool {
        hash & 1 == 1
    }

    /// The text at run time.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(|sink| sink.signature(self.arguments, self.result))
    }

    /// The text, followed by the text of every type that entered by name only:
    /// equal full texts mean equal layouts all the way down.
    #[must_use]
    pub fn full_text(&self) -> String {
        let mut text = self.text();
        let mut seen: Vec<String> = Vec::new();
        let mut waiting: VecDeque<&'static Desc> = VecDeque::new();
        for &desc in self.arguments.iter().chain([&self.result]) {
            by_name(desc, &mut waiting);
        }
        while let Some(desc) = waiting.pop_front() {
            let described = text_of(|sink| sink.desc(desc));
            if !seen.contains(&described) {
                text.push(';');
                text.push_str(&described);
                seen.push(described);
                by_name(desc, &mut waiting);
            }
        }
        text
    }
}

/// Collects what enters `desc` by name only, in the order of the text.
fn by_name(desc: &'static Desc, found: &mut VecDeque<&'static Desc>) {
    match &desc.body {
        Body::Leaf | Body::Mention => {}
        Body::ByName(full) => found.push_back(full()),
        Body::Args(inner) | Body::Tuple(inner) => {
            inner.iter().for_each(|desc| by_name(desc, found))
        }
        Body::Array(inner, _) | Body::Ref(inner) | Body::Slice(inner) => by_name(inner, found),
        Body::Struct(fields) => fields.iter().for_each(|field| by_name(field.ty, found)),
        Body::Enum(variants) => variants.iter().for_each(|variant| match &variant.shape {
            Shape::Unit => {}
            Shape::Tuple(inner) => inner.iter().for_each(|desc| by_name(desc, found)),
            Shape::Struct(fields) => fields.iter().for_each(|(_, desc)| by_name(desc, found)),
        }),
    }
}

/// A text of unknown length: measured first, then written.
fn text_of(write: impl Fn(&mut Sink<TEXT_BYTES>)) -> String {
    let mut sink = Sink::<TEXT_BYTES>::new();
    write(&mut sink);
    let shown = sink.length.min(TEXT_BYTES);
    let mut text = String::from_utf8_lossy(&sink.bytes[..shown]).into_owned();
    if shown < sink.length {
        // The hash still covers all of it, so that two long texts that differ late differ here too.
        text.push_str(&format!("..#{:016x}", sink.hash));
    }
    text
}

/// The longest text that is shown at run time. Signatures longer than this end in their hash.
const TEXT_BYTES: usize = 16 * 1024;

/// The signature of a call with arguments `A` and result `R`, as constants.
#[derive(Debug)]
pub struct Typed<A, R>(PhantomData<(A, R)>);

impl<A: Arguments, R: Abi> Typed<A, R> {
    /// The signature.
    pub const SIGNATURE: Signature = Signature { arguments: A::DESCS, result: <R as Abi>::DESC };
    /// The signature as a reference that lives for ever.
    pub const REFERENCE: &'static Signature = &Self::SIGNATURE;
    /// Its hash.
    pub const HASH: u64 = Self::SIGNATURE.hash();
}
