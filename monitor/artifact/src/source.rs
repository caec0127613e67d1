//! Where code comes from.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where the code of a module comes from.
///
/// A path converts into a source by what it names: `*.rs` is a single file, a
/// shared library (`*.so`, `*.dylib`, `*.dll`) is prebuilt, anything else is the
/// directory of a crate. Relative paths are taken from the working directory at
/// the time the source is first used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The directory of a crate: it holds a `Cargo.toml`.
    Crate(PathBuf),
    /// One file of Rust source, without a manifest.
    File(PathBuf),
    /// A library that somebody else has built; no compiler is needed.
    Prebuilt(PathBuf),
}

impl Source {
    /// The source that a path names.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => Self::File(path),
            Some("so" | "dylib" | "dll") => Self::Prebuilt(path),
            _ => Self::Crate(path),
        }
    }

    /// The path that this source was made from.
    #[must_use]
    pub fn location(&self) -> &Path {
        match self {
            Self::Crate(path) | Self::File(path) | Self::Prebuilt(path) => path,
        }
    }

    /// The kind in one word, as hotswap.log has it: `crate`, `file` or `prebuilt`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Crate(_) => "crate",
            Self::File(_) => "file",
            Self::Prebuilt(_) => "prebuilt",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.location().display())
    }
}

impl From<&str> for Source {
    fn from(path: &str) -> Self {
        Self::path(path)
    }
}

impl From<String> for Source {
    fn from(path: String) -> Self {
        Self::path(path)
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::path(path)
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::path(path)
    }
}

impl From<&PathBuf> for Source {
    fn from(path: &PathBuf) -> Self {
        Self::path(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_classified_by_its_extension() {
        assert_eq!(Source::from("game").kind(), "crate");
        assert_eq!(Source::from("game/rules.rs").kind(), "file");
        assert_eq!(Source::from(Path::new("libgame.so")).kind(), "prebuilt");
        assert_eq!(Source::from(PathBuf::from("game.v2")).kind(), "crate");
    }
}
