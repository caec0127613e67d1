//! The bytes of a manifest: lines of text in a fixed order, which a person can read before signing them.
//!
//! Not JSON, so that nothing has two forms and nothing is read two ways: there is no nesting, no escape, no number but whole
//! ones, no key that could stand twice or be skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hotswap_artifact::{ContentHash, ModuleName};

use super::{CodeKind, FileEntry, FilePath, FilePathError, Manifest, Previous};
use crate::lines::{LineError, Lines, number};
use crate::timestamp::Timestamp;

/// The longest manifest, in bytes.
///
/// 1 MiB: 4,096 files with paths of 150 bytes.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The most files of a release.
///
/// 4,096, as many as an archive of a crate may hold: the largest crates of a registry have some hundreds.
pub const FILES_MAX: usize = 4_096;

/// The most bytes of all files of a release together.
///
/// 4 GiB: libraries with debug information reach hundreds of megabytes. It bounds what a signer's mistake can ask for.
pub const RELEASE_BYTES_MAX: u64 = 1 << 32;

/// The longest text for a target, a boundary or a compiler, in bytes.
pub const WORD_BYTES_MAX: usize = 200;

/// The first line. A reader takes no other: what it does not know might be what limits the rest.
const FIRST: &str = "hotswap manifest v1";

/// What a name has to be, for messages: a part of one of a collection's.
const NAME_RULE: &str = "a name: ASCII letters, digits, - and _, a letter first, at most 100 bytes";

/// What stands for "whichever".
const ANY: &str = "any";

/// What stands for no previous release.
const NONE: &str = "none";

/// Bytes are no manifest that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no manifest that this program can use: {kind}")]
#[non_exhaustive]
pub struct ManifestError {
    /// What is wrong.
    pub kind: ManifestErrorKind,
}

/// What can be wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestErrorKind {
    /// It is longer than [`MANIFEST_BYTES_MAX`].
    #[error("it has {bytes} bytes, more than {MANIFEST_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is no text.
    #[error("it is not UTF-8, or has control characters")]
    NoText,
    /// It is of a later form.
    #[error("it is a {found:?}, which this program does not know; update it")]
    Newer {
        /// Its first line.
        found: String,
    },
    /// A line is missing, out of place, there twice, not known, or has a value that it cannot have.
    #[error("{0}")]
    Line(#[from] LineError),
    /// A path could lead elsewhere.
    #[error("line {line}: {error}")]
    Path {
        /// The line.
        line: usize,
        /// What is wrong.
        error: FilePathError,
    },
    /// Files are not in the order of their paths, or one is there twice.
    #[error("line {line}: {path} does not come after the file before it")]
    Order {
        /// The line.
        line: usize,
        /// The file.
        path: String,
    },
    /// Two paths are the same on some systems, or one needs a directory where the other is a file.
    #[error("line {line}: {path} and {other} cannot both lie in a directory of every system")]
    Clash {
        /// The line of the second.
        line: usize,
        /// The second.
        path: String,
        /// The first.
        other: String,
    },
    /// More than [`FILES_MAX`] files.
    #[error("it lists more than {FILES_MAX} files")]
    TooManyFiles,
    /// More than [`RELEASE_BYTES_MAX`] bytes.
    #[error("its files have more than {RELEASE_BYTES_MAX} bytes")]
    TooManyBytes,
    /// Lines contradict each other.
    #[error("{reason}")]
    Inconsistent {
        /// What does not go together.
        reason: &'static str,
    },
}

impl<E: Into<ManifestErrorKind>> From<E> for ManifestError {
    fn from(kind: E) -> Self {
        Self { kind: kind.into() }
    }
}

/// The lines. Values are written as they are: the reader refuses what cannot be one.
pub(super) fn write(manifest: &Manifest) -> Vec<u8> {
    let any = |word: &Option<String>| word.clone().unwrap_or_else(|| ANY.to_owned());
    let lines = [
        ("module", manifest.module.clone()),
        ("channel", manifest.channel.clone()),
        ("kind", manifest.kind.to_string()),
        ("counter", manifest.counter.to_string()),
        ("floor", manifest.floor.to_string()),
        ("target", any(&manifest.target)),
        ("abi", any(&manifest.abi)),
        ("toolchain", any(&manifest.toolchain)),
        ("expires", manifest.expires.to_string()),
        ("previous", Previous::text(manifest.previous)),
        ("files", manifest.files.len().to_string()),
    ];
    let mut text = format!("{FIRST}\n");
    for (word, value) in lines {
        // Writing to a text cannot fail.
        let _infallible = writeln!(text, "{word} {value}");
    }
    for FileEntry { path, bytes, hash } in &manifest.files {
        let _infallible = writeln!(text, "{hash} {bytes} {path}");
    }
    text.into_bytes()
}

pub(super) fn read(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestErrorKind::TooLong { bytes: bytes.len() }.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ManifestErrorKind::NoText)?;
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(ManifestErrorKind::NoText.into());
    }
    let mut lines = Lines::starting_at(1, text);
    if let Err(error) = lines.exactly(FIRST) {
        let found = error.found.clone();
        return Err(match found.starts_with("hotswap manifest v") {
            true => ManifestErrorKind::Newer { found }.into(),
            false => error.into(),
        });
    }
    let manifest = Manifest {
        module: lines.parsed("module", NAME_RULE, name)?,
        channel: lines.parsed("channel", NAME_RULE, name)?,
        kind: lines.parsed("kind", "crate, file or prebuilt", CodeKind::from_word)?,
        counter: lines.parsed("counter", "a number", number)?,
        floor: lines.parsed("floor", "a number", number)?,
        target: lines.parsed("target", WORD_RULE, word_or_any)?,
        abi: lines.parsed("abi", WORD_RULE, word_or_any)?,
        toolchain: lines.parsed("toolchain", WORD_RULE, word_or_any)?,
        expires: lines.parsed("expires", "a time like 2026-01-31T12:00:00Z", time)?,
        previous: lines.parsed("previous", PREVIOUS_RULE, Previous::parse)?,
        files: files(&mut lines)?,
    };
    lines.end()?;
    match inconsistency(&manifest) {
        Some(reason) => Err(ManifestErrorKind::Inconsistent { reason }.into()),
        None => Ok(manifest),
    }
}

fn inconsistency(manifest: &Manifest) -> Option<&'static str> {
    let is_any =
        manifest.target.is_none() || manifest.abi.is_none() || manifest.toolchain.is_none();
    if manifest.counter == 0 {
        return Some("the first release has number 1");
    }
    if manifest.floor > manifest.counter {
        return Some("its floor is above its own number");
    }
    if manifest.previous.is_some_and(|previous| previous.counter >= manifest.counter) {
        return Some("its number is not above that of the release before it");
    }
    if manifest.files.is_empty() {
        return Some("it lists no file");
    }
    match manifest.kind {
        CodeKind::Prebuilt if is_any => {
            Some("a library is for one target, one abi and one toolchain, not for any")
        }
        CodeKind::File if manifest.files.len() != 1 => {
            Some("its kind is one file, and it has more")
        }
        CodeKind::Crate if manifest.file("Cargo.toml").is_none() => {
            Some("it is a crate without a Cargo.toml")
        }
        CodeKind::Crate | CodeKind::File | CodeKind::Prebuilt => None,
    }
}

fn files(lines: &mut Lines<'_>) -> Result<Vec<FileEntry>, ManifestError> {
    let count = lines.parsed("files", "a number", number)?;
    if count > FILES_MAX as u64 {
        return Err(ManifestErrorKind::TooManyFiles.into());
    }
    let mut files: Vec<FileEntry> = Vec::new();
    let mut seen = Seen::default();
    let mut bytes_left = RELEASE_BYTES_MAX;
    for _ in 0..count {
        let (hash, bytes, path) = lines.line("a SHA-256, a length and a path", file_line)?;
        let line = lines.number();
        let path = FilePath::new(path).map_err(|error| ManifestErrorKind::Path { line, error })?;
        if files.last().is_some_and(|before| before.path >= path) {
            return Err(ManifestErrorKind::Order { line, path: path.to_string() }.into());
        }
        if let Err(other) = seen.add(&path) {
            return Err(ManifestErrorKind::Clash { line, path: path.to_string(), other }.into());
        }
        bytes_left = bytes_left.checked_sub(bytes).ok_or(ManifestErrorKind::TooManyBytes)?;
        files.push(FileEntry { path, bytes, hash });
    }
    Ok(files)
}

/// What lies where, for systems that do not tell large letters from small ones.
#[derive(Default)]
struct Seen {
    /// By the path in small letters: as it was written, and whether it is a file.
    paths: BTreeMap<String, (String, bool)>,
}

impl Seen {
    /// The path that this one clashes with, if any.
    fn add(&mut self, path: &FilePath) -> Result<(), String> {
        for directory in path.directories() {
            self.place(directory, false)?;
        }
        self.place(path.as_str(), true)
    }

    fn place(&mut self, path: &str, is_file: bool) -> Result<(), String> {
        let new = (path.to_owned(), is_file);
        match self.paths.get(&path.to_ascii_lowercase()) {
            Some(known) if *known == new && !is_file => Ok(()),
            Some((other, _)) => Err(other.clone()),
            None => {
                self.paths.insert(path.to_ascii_lowercase(), new);
                Ok(())
            }
        }
    }
}

const WORD_RULE: &str = "printable ASCII of at most 200 bytes, or any";

fn word_or_any(text: &str) -> Option<Option<String>> {
    let is_printable = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    let is_trimmed = text.trim() == text && !text.is_empty();
    let is_good = is_printable && is_trimmed && text.len() <= WORD_BYTES_MAX;
    is_good.then(|| (text != ANY).then(|| text.to_owned()))
}

fn name(text: &str) -> Option<String> {
    ModuleName::is_part(text).then(|| text.to_owned())
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// How a release that another follows, or none, is written.
pub(crate) const PREVIOUS_RULE: &str = "a number and a SHA-256, or none";

impl Previous {
    pub(crate) fn text(previous: Option<Self>) -> String {
        match previous {
            Some(Self { counter, hash }) => format!("{counter} {hash}"),
            None => NONE.to_owned(),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Option<Self>> {
        if text == NONE {
            return Some(None);
        }
        let (counter, hash) = text.split_once(' ')?;
        Some(Some(Self { counter: number(counter)?, hash: sha256(hash)? }))
    }
}

fn file_line(line: &str) -> Option<(ContentHash, u64, &str)> {
    let (hash, rest) = line.split_once(' ')?;
    let (bytes, path) = rest.split_once(' ')?;
    Some((sha256(hash)?, number(bytes)?, path))
}

/// A hash as it is written: in small letters.
fn sha256(text: &str) -> Option<ContentHash> {
    text.parse().ok().filter(|hash: &ContentHash| hash.to_string() == text)
}
