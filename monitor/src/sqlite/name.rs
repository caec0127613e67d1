//! What a module may be called.

use std::fmt;

/// The longest name of a module, in bytes: it becomes the name of a file and of a crate.
pub const NAME_BYTES_MAX: usize = hotswap_artifact::ModuleName::PART_BYTES_MAX;

/// The name of a module in a database: ASCII letters, digits, `-` and `_`, and a letter first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleName(String);

impl ModuleName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When it has other characters than those, separators and `..` among them, or too many.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if hotswap_artifact::ModuleName::is_part(name) {
            return Ok(Self(name.to_owned()));
        }
        // What is wrong may be anything, and long.
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        Err(NameError { name: shown })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A module cannot have this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no name of a module: ASCII letters, digits, - and _, a letter first, at most {NAME_BYTES_MAX} bytes"
)]
#[non_exhaustive]
pub struct NameError {
    /// The name, or the beginning of a long one.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        for good in ["greet", "greet-2", "a_b", &"a".repeat(100)] {
            assert_eq!(ModuleName::new(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(300);
        for bad in [
            "",
            ".",
            "..",
            "../greet",
            "a/b",
            "a\\b",
            "a#b",
            "a.rs",
            "-a",
            "2048",
            "a b",
            "a\0",
            "a\n",
            "a\u{1b}[2J",
            "ä",
            &long,
        ] {
            let error = ModuleName::new(bad).expect_err(bad);
            let text = error.to_string();
            assert!(text.contains("no name of a module"), "{text}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}
