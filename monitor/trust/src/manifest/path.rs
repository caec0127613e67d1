//! Where files of a release may lie.

use std::fmt;
use std::path::Path;

use super::MANIFEST_NAME;

/// The longest path of a file, in bytes.
///
/// 512: below what any file system takes, with room for the directory that it is put in.
pub const FILE_PATH_BYTES_MAX: usize = 512;

/// The longest name of a file or directory, in bytes: that of most file systems.
pub const FILE_NAME_BYTES_MAX: usize = 255;

/// How many names a path may have, the file's own included.
///
/// 32: the deepest crates of a registry have about ten.
pub const FILE_DEPTH_MAX: usize = 32;

/// A path that stays below the directory it is put in, on any system: names of printable ASCII, separated by `/`.
///
/// No name is empty, `.` or `..`, begins or ends with a space, ends with a dot, is one that Windows keeps for devices, or has one of `\ : * ? " < > |`. Letters beyond ASCII
/// are refused because systems differ in which of them are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

/// What is no path of a file in a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is no path of a file in a release: {reason}")]
#[non_exhaustive]
pub struct FilePathError {
    /// The path, or the beginning of a long one.
    pub path: String,
    /// What is wrong.
    pub reason: &'static str,
}

impl FilePath {
    /// Checks a path.
    ///
    /// # Errors
    ///
    /// When it could lead elsewhere, or mean something else on another system.
    pub fn new(path: &str) -> Result<Self, FilePathError> {
        match fault(path) {
            None => Ok(Self(path.to_owned())),
            Some(reason) => {
                let path = path.chars().take(FILE_PATH_BYTES_MAX).collect();
                Err(FilePathError { path, reason })
            }
        }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The directories that it leads through, the outermost first, each as its path from the top.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(end, _)| &self.0[..end])
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(path: &str) -> Option<&'static str> {
    if path.len() > FILE_PATH_BYTES_MAX {
        return Some("it is too long");
    }
    if path.split('/').count() > FILE_DEPTH_MAX {
        return Some("it is too deep");
    }
    if path.eq_ignore_ascii_case(MANIFEST_NAME) {
        return Some("the manifest itself has this name");
    }
    path.split('/').find_map(fault_of_name)
}

fn fault_of_name(name: &str) -> Option<&'static str> {
    let is_allowed = |c: char| (c.is_ascii_graphic() || c == ' ') && !r#"\:*?"<>|"#.contains(c);
    match name {
        "" => Some("a name is empty; it has to be relative, without a separator at its end"),
        "." | ".." => Some("it has a `.` or `..`"),
        _ if name.len() > FILE_NAME_BYTES_MAX => Some("a name is too long"),
        _ if !name.chars().all(is_allowed) => Some("a character is not allowed"),
        _ if name.starts_with(' ') || name.ends_with([' ', '.']) => {
            Some("a name begins or ends with a space, or ends with a dot")
        }
        _ if is_device(name) => Some("Windows keeps a name for a device"),
        _ => None,
    }
}

/// Whether Windows takes this name for a device, whatever comes after its first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().find_map(|device| stem.strip_prefix(device));
    let is_digit = |rest: &str| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit();
    ["con", "prn", "aux", "nul"].contains(&stem.as_str()) || numbered.is_some_and(is_digit)
}
