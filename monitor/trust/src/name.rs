//! What modules and channels may be called.

/// The longest name, in bytes: it becomes part of names of files.
const NAME_BYTES_MAX: usize = 100;

/// What a name has to be, for messages. As in a database of modules.
pub(crate) const NAME_RULE: &str =
    "a name: ASCII letters, digits, - and _, a letter first, at most 100 bytes";

pub(crate) fn is_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_allowed)
        && text.len() <= NAME_BYTES_MAX
}
