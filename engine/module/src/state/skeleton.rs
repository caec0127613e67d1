//! A step to begin with, for a message.
use crate::signature::Signature;
/// Stub.
#[must_use]
pub fn skeleton(
    _schema: &str,
    _old: &'static Signature,
    _old_version: u16,
    _new: &'static Signature,
    _new_version: u16,
) -> String {
    String::new()
}
/// Stub.
#[must_use]
pub fn difference(old: &'static Signature, new: &'static Signature) -> String {
    format!("- {}\n+ {}", old.full_text(), new.full_text())
}
