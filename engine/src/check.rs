//! Compares what a caller relies on with what a version has.

use hotswap_module::__private::short;
use hotswap_module::{CallErrorKind, Signature};

/// Whether two signatures are the same, all the way down.
#[inline]
pub(crate) fn same(
    left: &'static Signature,
    left_hash: u64,
    right: &Signature,
    right_hash: u64,
) -> bool {
    left_hash == right_hash && (!Signature::is_by_name(left_hash) || same_text(left, right))
}

/// A type that entered by name only is not covered by the hash.
#[cold]
fn same_text(left: &Signature, right: &Signature) -> bool {
    left.full_text() == right.full_text()
}

/// Whether a call may be made: `wanted` is the caller's signature and its hash, or `None` for no arguments and a
/// result that is dropped.
#[inline]
pub(crate) fn agrees(
    wanted: Option<(&'static Signature, u64)>,
    found: &'static Signature,
    found_hash: u64,
) -> bool {
    match wanted {
        Some((wanted, hash)) => same(wanted, hash, found, found_hash),
        None => found.arguments.is_empty(),
    }
}

/// Why a call may not be made.
#[cold]
pub(crate) fn refusal(
    wanted: Option<(&'static Signature, u64)>,
    found: &'static Signature,
) -> CallErrorKind {
    match wanted {
        Some((wanted, _)) => difference(wanted, found),
        None => CallErrorKind::Signature { expected: "()".to_owned(), found: short(&found.text()) },
    }
}

/// The first argument that differs, or both signatures.
fn difference(wanted: &Signature, found: &Signature) -> CallErrorKind {
    let text = |desc| {
        let text = Signature { arguments: &[], result: desc }.text();
        text["()->".len()..].to_owned()
    };
    if wanted.arguments.len() == found.arguments.len() {
        for (index, (wanted, found)) in wanted.arguments.iter().zip(found.arguments).enumerate() {
            let (given, expected) = (text(wanted), text(found));
            if given != expected {
                let (found, expected) = readable(&given, &expected);
                return CallErrorKind::Argument {
                    position: index + 1,
                    expected,
                    found,
                    write: None,
                };
            }
        }
    }
    let (expected, found) = readable(&wanted.full_text(), &found.full_text());
    CallErrorKind::Signature { expected, found }
}

/// Two texts as people write types; with their layouts where they would look the same.
pub(crate) fn readable(left: &str, right: &str) -> (String, String) {
    let (short_left, short_right) = (short(left), short(right));
    if short_left == short_right {
        (left.to_owned(), right.to_owned())
    } else {
        (short_left, short_right)
    }
}
