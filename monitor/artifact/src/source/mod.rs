//! Where code comes from.

mod chain;
mod identity;
mod string;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Fetch;

pub use chain::{Chain, ChainLink, WhenDown};
pub use string::StringSource;

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
    /// Code that has to be fetched: [`Source::string`], a database, [`Source::fetched`].
    Fetched(FetchedSource),
    /// The first source that has the module: [`Source::chain`].
    Chain(Chain),
}

/// A source of somebody's own; a clone is the same. Equal when kind and name are.
#[derive(Clone)]
pub struct FetchedSource(Arc<dyn Fetch>);

impl fmt::Debug for FetchedSource {
    /// Which it is. What lies there may be long, and changes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.identity();
        f.debug_tuple(kind).field(&name).finish()
    }
}

impl FetchedSource {
    /// What fetches it.
    #[must_use]
    pub fn fetch(&self) -> &Arc<dyn Fetch> {
        &self.0
    }

    fn identity(&self) -> (&str, &str) {
        (self.0.kind(), self.0.name())
    }
}

impl PartialEq for FetchedSource {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for FetchedSource {}

impl Hash for FetchedSource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
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

    /// One file of Rust source that the program has in its hands. Keep a clone, to replace the text by
    /// [`StringSource::set`].
    #[must_use]
    pub fn string(text: impl AsRef<str>) -> StringSource {
        StringSource::new(text.as_ref())
    }

    /// The first of these that has the module, at every look anew: "the database, else files".
    ///
    /// ```
    /// use hotswap_artifact::{Source, WhenDown};
    ///
    /// let chain = Source::chain(["overrides/greet.rs", "greet"]).when_down(WhenDown::FallThrough);
    /// assert_eq!(chain.links().len(), 2);
    /// ```
    #[must_use]
    pub fn chain<T: Into<Self>>(sources: impl IntoIterator<Item = T>) -> Chain {
        Chain::new(sources.into_iter().map(Into::into))
    }

    /// A source of one's own.
    #[must_use]
    pub fn fetched(fetch: impl Fetch + 'static) -> Self {
        Self::Fetched(FetchedSource(Arc::new(fetch)))
    }

    /// The path that this source was made from; of one without a path, its name.
    #[must_use]
    pub fn location(&self) -> &Path {
        match self {
            Self::Crate(path) | Self::File(path) | Self::Prebuilt(path) => path,
            Self::Fetched(fetched) => Path::new(fetched.0.name()),
            Self::Chain(chain) => Path::new(&chain.name),
        }
    }

    /// The kind in one word, as hotswap.log has it: `crate`, `file`, `prebuilt`, `chain`; of code that is fetched, what
    /// [`Fetch::kind`] says.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crate(_) => "crate",
            Self::File(_) => "file",
            Self::Prebuilt(_) => "prebuilt",
            Self::Fetched(fetched) => fetched.0.kind(),
            Self::Chain(_) => "chain",
        }
    }

    /// The module in one word: the last part of an absolute path without its extension, the name of what is fetched, or that of a
    /// chain's first source. `None` where there is none, as of `/`.
    #[must_use]
    pub fn module_name(&self) -> Option<String> {
        match self {
            Self::Crate(path) | Self::File(path) | Self::Prebuilt(path) => {
                let path = std::path::absolute(path).ok()?;
                Some(path.file_stem()?.to_string_lossy().into_owned())
            }
            Self::Fetched(fetched) => {
                let name = fetched.0.name().rsplit(['#', '/']).next()?;
                (!name.is_empty()).then(|| name.to_owned())
            }
            Self::Chain(chain) => chain.links().first()?.source.module_name(),
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

impl From<StringSource> for Source {
    fn from(string: StringSource) -> Self {
        Self::fetched(string)
    }
}

impl From<&StringSource> for Source {
    fn from(string: &StringSource) -> Self {
        Self::fetched(string.clone())
    }
}

impl From<Chain> for Source {
    fn from(chain: Chain) -> Self {
        Self::Chain(chain)
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

    #[test]
    fn a_module_is_named_by_the_last_part() {
        let name = |source: Source| source.module_name().unwrap_or_default();
        assert_eq!(name("game/rules.rs".into()), "rules");
        assert_eq!(name(Source::chain(["one/game", "other"]).into()), "game");
        assert!(name(Source::string("").into()).starts_with("string-"));
        assert_eq!(name("/".into()), "");
    }
}
