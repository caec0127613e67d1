//! What a module of a collection may be called.

use std::fmt;

/// The longest name of a module, in bytes: that of a file, on every file system.
const NAME_BYTES_MAX: usize = 255;

/// The name of a module in a collection: parts, joined by `/`.
///
/// A part has ASCII letters, digits, `-` and `_`, and a letter first. `./` is left out, so that `./greet` is `greet`. No name leads
/// out of its collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleName(String);

impl ModuleName {
    /// The longest part of a name, in bytes: 100, since it becomes the name of a file and of a crate.
    pub const PART_BYTES_MAX: usize = 100;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When it is empty, absolute or longer than 255 bytes, or a part of it is empty, `..` or has other characters.
    pub fn new(name: &str) -> Result<Self, ModuleNameError> {
        let fail = |reason| {
            // What is wrong may be anything, and long.
            let name = name.chars().take(Self::PART_BYTES_MAX).collect();
            Err(ModuleNameError { name, reason })
        };
        if name.is_empty() {
            return fail("it is empty");
        }
        if name.len() > NAME_BYTES_MAX {
            return fail("it has more than 255 bytes");
        }
        if name.starts_with('/') {
            return fail("it is absolute; names are looked for in a collection");
        }
        let mut parts = Vec::new();
        for part in name.split('/') {
            match part {
                "" => return fail("a separator has no name on one of its sides"),
                ".." => return fail("it leads out of its directory"),
                "." => {}
                part if Self::is_part(part) => parts.push(part),
                _ => {
                    return fail(
                        "a part of it is not of ASCII letters, digits, - and _, a letter first, at most 100 bytes",
                    );
                }
            }
        }
        if parts.is_empty() {
            return fail("it names a directory and no module");
        }
        Ok(Self(parts.join("/")))
    }

    /// Whether this may be a part of a name, or all of it.
    #[must_use]
    pub fn is_part(text: &str) -> bool {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(is_allowed)
            && text.len() <= Self::PART_BYTES_MAX
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What leads to the module, and its last part.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A module cannot have this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no name of a module: {reason}")]
#[non_exhaustive]
pub struct ModuleNameError {
    /// The name, or the beginning of a long one.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_nowhere_else_are_taken() {
        for (given, name) in
            [("greet", "greet"), ("./a/./greet", "a/greet"), ("a_b/c-2", "a_b/c-2")]
        {
            assert_eq!(ModuleName::new(given).unwrap().as_str(), name);
        }
        assert_eq!(ModuleName::new("a/b/greet").unwrap().split(), ("a/b", "greet"));
        assert_eq!(ModuleName::new("greet").unwrap().split(), ("", "greet"));
    }

    #[test]
    fn sw_6_names_that_could_lead_elsewhere_are_refused() {
        let (long, part) = ("a/".repeat(150) + "b", "a".repeat(101));
        for (bad, reason) in [
            ("", "empty"),
            (".", "a directory"),
            ("..", "leads out"),
            ("a/../../b", "leads out"),
            ("/greet", "absolute"),
            ("greet/", "a separator"),
            ("a//b", "a separator"),
            (&long, "255 bytes"),
            (&part, "at most 100"),
            ("a\\b", "ASCII"),
            ("a#b", "ASCII"),
            ("a.rs", "ASCII"),
            ("-a", "ASCII"),
            ("2048", "ASCII"),
            ("a\0", "ASCII"),
            ("a\n", "ASCII"),
            ("a\u{1b}[2J", "ASCII"),
            ("ä", "ASCII"),
        ] {
            let text = ModuleName::new(bad).expect_err(bad).to_string();
            assert!(text.contains(reason), "{text}");
            assert!(!text.chars().any(char::is_control) && text.len() < 300, "{text:?}");
        }
    }
}
