//! Which source it is, by whatever way it is named.

use std::path::{Path, PathBuf};

use hotswap_system::fs;

use super::Source;

impl Source {
    /// A source that is equal for all names of one source: of a path, without links; of what is not there now, absolute.
    #[must_use]
    pub fn identity(&self) -> Self {
        match self {
            Self::Crate(path) => Self::Crate(without_links(path)),
            Self::File(path) => Self::File(without_links(path)),
            Self::Prebuilt(path) => Self::Prebuilt(without_links(path)),
            Self::Fetched(_) => self.clone(),
            Self::Chain(chain) => Self::Chain(chain.clone().map(|source| source.identity())),
        }
    }
}

fn without_links(path: &Path) -> PathBuf {
    fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_source_are_one() {
        let place = tempfile::tempdir().unwrap();
        let inside = |name: &str| place.path().join(name);
        std::fs::create_dir(inside("greet")).unwrap();
        std::os::unix::fs::symlink(inside("greet"), inside("link")).unwrap();
        let identity = |path: PathBuf| Source::from(path).identity();
        assert_eq!(identity(inside("link")), identity(inside("greet/../greet")));
        assert_ne!(identity(inside("greet")), identity(inside("gone")));
        let chain = |path| Source::from(Source::chain([inside(path), "x.rs".into()])).identity();
        assert_eq!(chain("link"), chain("greet"));
        let text = Source::from(Source::string(""));
        assert_eq!(text.identity(), text);
    }
}
