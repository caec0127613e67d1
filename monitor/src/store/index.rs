//! What became of each fingerprint that was ever built, across processes.
//!
//! One small file for each, named by source, settings and fingerprint. It says
//! which library of the store it gave, or why it gave none, and with which
//! toolchain. A file that is torn or not ours says nothing: then there is a build.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_artifact::{BuildErrorKind, ContentHash, Diagnostics, Fingerprint, FingerprintHasher};
use hotswap_system::clock;
use hotswap_system::fs::{self, File};
use serde_json::{Value, json};

use super::whole;
use crate::build::Recipe;

/// How many results are remembered in one target directory.
///
/// Two of each source: what runs and what did not build; most are smaller than 1 KiB,
/// none larger than [`ENTRY_BYTES_MAX`].
const INDEX_ENTRIES_MAX: usize = 2 * super::SOURCES_MAX;

/// The longest entry that is written or read: it holds the diagnostics of one
/// build, of which 1 MiB is kept, escaped.
const ENTRY_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Changes with the format, and with what a fingerprint means.
const FORMAT: &str = concat!("hotswap-index 2 ", env!("CARGO_PKG_VERSION"));

/// What a build of some fingerprint gave.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    Built { content: ContentHash, warnings: usize, build_time: Duration },
    Failed(BuildErrorKind),
}

/// What an earlier build gave, and the toolchain that gave it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) known: Known,
    pub(crate) toolchain: Vec<u8>,
}

/// The index of one target directory.
pub(crate) struct Index {
    directory: PathBuf,
}

impl Index {
    pub(crate) fn of(target_dir: &Path) -> Self {
        Self { directory: target_dir.join("store/index") }
    }

    /// What is known of a fingerprint that is built in this way.
    pub(crate) fn find(&self, recipe: &Recipe, fingerprint: Fingerprint) -> Option<Entry> {
        let path = self.path(recipe, fingerprint);
        let is_short = fs::metadata(&path).is_ok_and(|found| found.len() <= ENTRY_BYTES_MAX);
        let bytes = is_short.then(|| fs::read(&path).ok())??;
        let entry = parse(&bytes);
        match &entry {
            // The age decides what is forgotten; this one is in use again.
            Some(_) => drop(File::open(&path).map(|file| file.set_modified(clock::wall()))),
            None => {
                log::warn!("{} is no entry of the index; it is removed", path.display());
                let _gone = fs::remove_file(&path);
            }
        }
        entry
    }

    /// Remembers what a build gave. One that cannot be written costs the next
    /// process a build and nothing else.
    pub(crate) fn record(&self, recipe: &Recipe, fingerprint: Fingerprint, entry: &Entry) {
        let text = render(entry);
        if text.len() as u64 > ENTRY_BYTES_MAX {
            return;
        }
        let path = self.path(recipe, fingerprint);
        let written =
            fs::create_dir_all(&self.directory).and_then(|()| whole::write(&path, text.as_bytes()));
        if let Err(error) = written {
            log::warn!("cannot remember what a build gave in {}: {error}", path.display());
        }
        whole::sweep(&self.directory);
        super::trim(&self.directory, &[path].into(), INDEX_ENTRIES_MAX);
    }

    fn path(&self, recipe: &Recipe, fingerprint: Fingerprint) -> PathBuf {
        let mut key = FingerprintHasher::new();
        key.piece(FORMAT.as_bytes());
        key.piece(&recipe.text);
        key.piece(fingerprint.as_bytes());
        self.directory.join(key.finish().to_string()).with_extension("json")
    }
}

/// One line of JSON, and the hash of that line.
pub(crate) fn render(entry: &Entry) -> String {
    let toolchain = String::from_utf8_lossy(&entry.toolchain);
    let mut value = match &entry.known {
        Known::Built { content, warnings, build_time } => json!({
            "content": content.to_string(),
            "warnings": warnings,
            "build_ns": u64::try_from(build_time.as_nanos()).unwrap_or(u64::MAX),
        }),
        Known::Failed(kind) => {
            let (word, diagnostics) = match kind {
                BuildErrorKind::NoLibrary { diagnostics } => ("no_library", diagnostics),
                BuildErrorKind::Failed { diagnostics } => ("failed", diagnostics),
                // Nothing else is recorded; an entry that cannot be read is no entry.
                _ => return String::new(),
            };
            json!({
                "failed": word,
                "rendered": diagnostics.rendered,
                "errors": diagnostics.error_count,
                "warnings": diagnostics.warning_count,
                "first_error": diagnostics.first_error,
            })
        }
    };
    value["toolchain"] = toolchain.into();
    whole::seal(&value.to_string())
}

pub(crate) fn parse(bytes: &[u8]) -> Option<Entry> {
    let value: Value = serde_json::from_str(whole::unseal(bytes)?).ok()?;
    let count = |name: &str| value[name].as_u64().and_then(|count| usize::try_from(count).ok());
    let known = if let Some(word) = value["failed"].as_str() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.rendered = value["rendered"].as_str()?.to_owned();
        diagnostics.error_count = count("errors")?;
        diagnostics.warning_count = count("warnings")?;
        diagnostics.first_error = value["first_error"].as_str().map(str::to_owned);
        Known::Failed(match word {
            "failed" => BuildErrorKind::Failed { diagnostics },
            "no_library" => BuildErrorKind::NoLibrary { diagnostics },
            _ => return None,
        })
    } else {
        Known::Built {
            content: value["content"].as_str()?.parse().ok()?,
            warnings: count("warnings")?,
            build_time: Duration::from_nanos(value["build_ns"].as_u64()?),
        }
    };
    let toolchain = value["toolchain"].as_str()?.as_bytes().to_owned();
    Some(Entry { known, toolchain })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::properties::config;

    fn recipe(text: &str) -> Recipe {
        Recipe::new("/t", text)
    }

    fn built(text: &str) -> Entry {
        let content = ContentHash::of(text.as_bytes());
        let known = Known::Built { content, warnings: 3, build_time: Duration::from_millis(7) };
        Entry { known, toolchain: b"rustc 1\n".to_vec() }
    }

    fn failed() -> Entry {
        let mut diagnostics = Diagnostics::default();
        diagnostics.rendered = "error: \"x\"\n\u{1b}[0m é".to_owned();
        diagnostics.error_count = 2;
        diagnostics.first_error = Some("a.rs:1:1: x".to_owned());
        let known = Known::Failed(BuildErrorKind::Failed { diagnostics });
        Entry { known, toolchain: Vec::new() }
    }

    #[test]
    fn what_is_recorded_is_found_by_the_same_recipe_only() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::of(directory.path());
        let (one, two) = (Fingerprint::of(b"one"), Fingerprint::of(b"two"));
        index.record(&recipe("dev"), one, &built("x"));
        index.record(&recipe("dev"), two, &failed());
        let found = index.find(&recipe("dev"), one).unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", built("x")));
        let found = index.find(&recipe("dev"), two).unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", failed()));
        assert!(index.find(&recipe("release"), one).is_none());
        assert!(index.find(&recipe("dev"), Fingerprint::of(b"three")).is_none());
    }

    #[test]
    fn an_entry_that_is_torn_or_altered_anywhere_is_none() {
        for entry in [built("x"), failed()] {
            let text = render(&entry).into_bytes();
            assert!(parse(&text).is_some());
            for end in 0..text.len() {
                assert!(parse(&text[..end]).is_none(), "cut at {end}");
                let mut altered = text.clone();
                altered[end] ^= 1;
                assert!(parse(&altered).is_none(), "altered at {end}");
            }
        }
        for garbage in [&b""[..], b"\n", b"{}\n", &[0xff; 100], &[0; 100]] {
            assert!(parse(garbage).is_none());
        }
        // Whole, and yet it says nothing.
        for line in ["{}", "[]", "7", "{\"failed\":\"x\",\"content\":7}", "{\"content\":\"00\"}"] {
            let text = format!("{line}\n{}\n", Fingerprint::of(line.as_bytes()));
            assert!(parse(text.as_bytes()).is_none(), "{line}");
        }
    }

    #[test]
    fn garbage_is_removed_and_an_index_that_cannot_be_written_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::of(directory.path());
        let (one, recipe) = (Fingerprint::of(b"one"), recipe("dev"));
        fs::create_dir_all(&index.directory).unwrap();
        fs::write(index.path(&recipe, one), "garbage").unwrap();
        assert!(index.find(&recipe, one).is_none());
        assert!(!index.path(&recipe, one).exists());
        fs::remove_dir(&index.directory).unwrap();
        fs::write(&index.directory, "a file").unwrap();
        index.record(&recipe, one, &built("x"));
        assert!(index.find(&recipe, one).is_none());
    }

    #[test]
    fn it_is_bounded_and_the_oldest_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::of(directory.path());
        let recipe = recipe("dev");
        let fingerprint = |number: usize| Fingerprint::of(&number.to_le_bytes());
        fs::create_dir_all(&index.directory).unwrap();
        for number in 0..INDEX_ENTRIES_MAX + 5 {
            let path = index.path(&recipe, fingerprint(number));
            fs::write(&path, render(&built("x"))).unwrap();
            let age = Duration::from_secs((10_000 - number) as u64);
            File::open(&path).unwrap().set_modified(clock::wall() - age).unwrap();
        }
        index.record(&recipe, Fingerprint::of(b"last"), &built("x"));
        assert_eq!(fs::read_dir(&index.directory).unwrap().count(), INDEX_ENTRIES_MAX);
        assert!(index.find(&recipe, fingerprint(0)).is_none());
        assert!(index.find(&recipe, Fingerprint::of(b"last")).is_some());
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let built = (any::<[u8; 32]>(), any::<usize>(), any::<u64>()).prop_map(
            |(content, warnings, nanoseconds)| Known::Built {
                content: ContentHash::from_bytes(content),
                warnings,
                build_time: Duration::from_nanos(nanoseconds),
            },
        );
        let texts = (any::<String>(), prop::option::of(any::<String>()));
        let failed = (texts, any::<(usize, usize)>(), any::<bool>()).prop_map(
            |((rendered, first_error), (error_count, warning_count), is_failed)| {
                let mut diagnostics = Diagnostics::default();
                diagnostics.rendered = rendered;
                diagnostics.first_error = first_error;
                diagnostics.error_count = error_count;
                diagnostics.warning_count = warning_count;
                Known::Failed(if is_failed {
                    BuildErrorKind::Failed { diagnostics }
                } else {
                    BuildErrorKind::NoLibrary { diagnostics }
                })
            },
        );
        (prop_oneof![built, failed], any::<String>())
            .prop_map(|(known, toolchain)| Entry { known, toolchain: toolchain.into_bytes() })
    }

    /// All that an entry says; its own `Debug` leaves out what a compiler rendered.
    fn told(entry: &Entry) -> String {
        let rendered = match &entry.known {
            Known::Failed(
                BuildErrorKind::Failed { diagnostics } | BuildErrorKind::NoLibrary { diagnostics },
            ) => diagnostics.rendered.as_str(),
            Known::Built { .. } | Known::Failed(_) => "",
        };
        format!("{entry:?} {rendered:?}")
    }

    proptest! {
        #![proptest_config(config(500))]

        #[test]
        fn what_is_recorded_reads_back(entry in entry()) {
            let again = parse(render(&entry).as_bytes());
            prop_assert_eq!(again.as_ref().map(told), Some(told(&entry)));
        }

        /// Damage is found out by the hash, or it changes nothing: the case of a hexadecimal digit.
        #[test]
        fn what_is_damaged_says_nothing_or_the_same(
            entry in entry(),
            place in any::<prop::sample::Index>(),
            flip in 1..=u8::MAX,
        ) {
            let mut bytes = render(&entry).into_bytes();
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
            if let Some(again) = parse(&bytes) {
                prop_assert_eq!(told(&again), told(&entry));
            }
        }

        /// Any JSON of ours or of nobody's, under a hash that is right: no entry, or one that reads back.
        #[test]
        fn what_is_whole_is_an_entry_or_none(
            keys in prop::sample::subsequence(
                vec!["content", "failed", "warnings", "errors", "rendered", "build_ns", "toolchain", "first_error"], 0..8,
            ),
            values in vec(
                prop::sample::select(vec!["0", "-1", "1e400", "18446744073709551616", "null", "\"failed\"", "[]", "\"\\u0000\""]), 8,
            ),
        ) {
            let pairs: Vec<_> =
                keys.iter().zip(values).map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let line = format!("{{{}}}", pairs.join(","));
            let text = format!("{line}\n{}\n", Fingerprint::of(line.as_bytes()));
            if let Some(entry) = parse(text.as_bytes()) {
                let again = parse(render(&entry).as_bytes());
                prop_assert_eq!(again.as_ref().map(told), Some(told(&entry)));
            }
        }
    }
}
