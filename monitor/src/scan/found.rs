//! What a look found: every file that goes into the build.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_artifact::{Fingerprint, FingerprintHasher};

use super::file_hashes::Hashed;

/// The files of a source, ordered by the parts of their names: what lies in a directory follows it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    files: Vec<FoundFile>,
    /// Whether the order of the names is that of their bytes, a separator before all others.
    is_plain: bool,
    fingerprint: Fingerprint,
}

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    /// Relative to the source where it lies inside.
    pub(crate) name: Arc<Path>,
    pub(crate) hashed: Hashed,
}

impl Found {
    /// From files in any order; of two with one name the first counts.
    pub(super) fn new(mut files: Vec<FoundFile>) -> Self {
        let is_plain = files.iter().all(|file| is_plain(&file.name));
        files.sort_by(|left, right| compare(&left.name, &right.name, is_plain));
        files.dedup_by(|later, first| compare(&later.name, &first.name, is_plain).is_eq());
        let fingerprint = fingerprint(&files);
        Self { files, is_plain, fingerprint }
    }

    /// The same names with other content.
    pub(super) fn with(&self, updates: Vec<(usize, Hashed)>) -> Self {
        let mut files = self.files.clone();
        for (index, hashed) in updates {
            files[index].hashed = hashed;
        }
        let fingerprint = fingerprint(&files);
        Self { files, is_plain: self.is_plain, fingerprint }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn files(&self) -> &[FoundFile] {
        &self.files
    }

    /// Where the file of this name stands.
    pub(super) fn position(&self, name: &Path) -> Option<usize> {
        let is_plain = self.is_plain && is_plain(name);
        self.files.binary_search_by(|file| compare(&file.name, name, is_plain)).ok()
    }

    pub(super) fn get(&self, name: &Path) -> Option<&FoundFile> {
        self.position(name).map(|index| &self.files[index])
    }

    /// Whether there is this file, or a file below this directory.
    pub(super) fn has_at_or_below(&self, name: &Path) -> bool {
        let following = self.files.partition_point(|file| file.name.as_ref() < name);
        self.files.get(following).is_some_and(|file| file.name.starts_with(name))
    }

    /// What differs from what was found before: in bytes, and only in times. In order.
    pub(super) fn differences(&self, before: &Self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let is_plain = self.is_plain && before.is_plain;
        let (mut changed, mut touched) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (before.files.as_slice(), self.files.as_slice());
        loop {
            let order = match (old.first(), new.first()) {
                (None, None) => return (changed, touched),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                // As a rule one and the same name.
                (Some(old), Some(new)) if Arc::ptr_eq(&old.name, &new.name) => Ordering::Equal,
                (Some(old), Some(new)) => compare(&old.name, &new.name, is_plain),
            };
            let name = if order.is_le() { &old[0].name } else { &new[0].name };
            if order.is_ne() || old[0].hashed.digest != new[0].hashed.digest {
                changed.push(name.to_path_buf());
            } else if old[0].hashed != new[0].hashed {
                touched.push(name.to_path_buf());
            }
            old = &old[usize::from(order.is_le())..];
            new = &new[usize::from(order.is_ge())..];
        }
    }
}

fn fingerprint(files: &[FoundFile]) -> Fingerprint {
    let mut hasher = FingerprintHasher::new();
    for file in files {
        hasher.piece(file.name.as_os_str().as_encoded_bytes());
        hasher.piece(file.hashed.digest.as_bytes());
    }
    hasher.finish()
}

/// Orders names as [`Path`] does, by their parts.
fn compare(left: &Path, right: &Path, is_plain: bool) -> Ordering {
    if !is_plain {
        return left.cmp(right);
    }
    let (left, right) = (left.as_os_str().as_encoded_bytes(), right.as_os_str().as_encoded_bytes());
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    match left.iter().zip(right).find(|(left, right)| left != right) {
        Some((left, right)) => rank(left).cmp(&rank(right)),
        None => left.len().cmp(&right.len()),
    }
}

/// Whether a path is its parts with one separator between each: nothing in it is passed over, or means
/// another directory, when paths are compared.
fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let parts = bytes.strip_prefix(b"/").unwrap_or(bytes);
    parts.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::properties::config;

    fn name() -> impl Strategy<Value = PathBuf> {
        let part = prop_oneof!["[-!.0a]{1,2}", Just("..".to_owned()), Just(String::new())];
        (any::<bool>(), vec(part, 1..4)).prop_map(|(is_absolute, parts)| {
            PathBuf::from(if is_absolute { "/" } else { "" }.to_owned() + &parts.join("/"))
        })
    }

    proptest! {
        #![proptest_config(config(3_000))]

        #[test]
        fn plain_names_are_ordered_as_paths_are(left in name(), right in name()) {
            let is_plain = is_plain(&left) && is_plain(&right);
            prop_assert_eq!(compare(&left, &right, is_plain), left.cmp(&right), "{}", is_plain);
        }

        #[test]
        fn differences_are_those_of_maps(
            left in vec((name(), 0..3u64), 0..8),
            right in vec((name(), 0..3u64), 0..8),
        ) {
            let found = |files: &[(PathBuf, u64)]| Found::new(files.iter().map(file).collect());
            let (before, after) = (found(&left), found(&right));
            let (changed, touched) = after.differences(&before);
            prop_assert!(touched.is_empty());
            let names: std::collections::BTreeSet<&Path> =
                left.iter().chain(&right).map(|(name, _)| name.as_path()).collect();
            let digest = |found: &Found, name| Some(found.get(name)?.hashed.digest);
            let expected: Vec<&Path> = names
                .into_iter()
                .filter(|name| digest(&before, name) != digest(&after, name))
                .collect();
            prop_assert_eq!(changed, expected);
        }
    }

    fn file((name, content): &(PathBuf, u64)) -> FoundFile {
        let metadata = std::fs::metadata("/").unwrap();
        let stat = crate::scan::stat::Stat::of(&metadata);
        let digest = Fingerprint::of(&content.to_le_bytes());
        FoundFile { name: Arc::from(name.as_path()), hashed: Hashed { digest, stat } }
    }
}
