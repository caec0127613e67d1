//! Which files below a directory go into a build.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hotswap_system::fault::{self, Operation};
use hotswap_system::fs;
use walkdir::{DirEntry, WalkDir};

/// A path that could not be looked at.
pub(crate) struct WalkFailure {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// Lists the regular files below `root` that may go into a build. Links are
/// followed, a loop of links once. A root that does not exist has no files.
pub(crate) fn files_below(root: &Path, not_below: &[PathBuf]) -> Result<Vec<PathBuf>, WalkFailure> {
    let whole_package = has_build_script(root)?;
    let mut doubt = None;
    let is_input = |entry: &DirEntry| {
        if entry.depth() == 0 {
            return true;
        }
        let is_beside = entry.depth() == 1 && !whole_package && is_beside_the_library(entry);
        if is_beside || not_below.iter().any(|path| entry.path() == path) {
            return false;
        }
        match is_left_out(entry.path(), entry.file_name(), entry.file_type().is_dir()) {
            Ok(is_left_out) => !is_left_out,
            Err(error) => {
                doubt = Some(WalkFailure { path: entry.path().to_owned(), error });
                false
            }
        }
    };
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(is_input) {
        let path = entry.as_ref().map_or(root, |entry| entry.path());
        if let Err(error) = fault::check(Operation::List, path) {
            return Err(WalkFailure { path: path.to_owned(), error });
        }
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => pass_over(root, error)?,
        }
    }
    doubt.map_or(Ok(files), Err)
}

/// Lists the directories below `root`, itself included, that may hold such files.
/// What cannot be read is left out: the scan says so.
pub(crate) fn directories_below(root: &Path, not_below: &[PathBuf]) -> Vec<PathBuf> {
    let may_hold_inputs = |entry: &DirEntry| {
        entry.file_type().is_dir()
            && (entry.depth() == 0
                || !(is_left_out(entry.path(), entry.file_name(), true).unwrap_or(false)
                    || not_below.iter().any(|path| entry.path() == path)))
    };
    let entries = WalkDir::new(root).follow_links(true).into_iter().filter_entry(may_hold_inputs);
    let is_seen = |entry: &DirEntry| fault::check(Operation::List, entry.path()).is_ok();
    entries.flatten().filter(is_seen).map(DirEntry::into_path).collect()
}

/// Whether cargo runs a build script for the package, which may read anything. An error is no answer: the same
/// files would have another fingerprint for a moment, and what is built of them would be remembered under that.
fn has_build_script(package: &Path) -> Result<bool, WalkFailure> {
    let (script, manifest) = (package.join("build.rs"), package.join("Cargo.toml"));
    if fs::exists(&script).map_err(|error| WalkFailure { path: script, error })? {
        return Ok(true);
    }
    match fs::read(&manifest) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).lines().any(is_build_key)),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(WalkFailure { path: manifest, error }),
    }
}

/// Whether a line sets `build`. Too often rather than too seldom: a false yes
/// only makes the fingerprint wider.
fn is_build_key(line: &str) -> bool {
    line.trim_start().strip_prefix("build").is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// What no build reads: outputs, hidden files, what editors and engines leave. An error when a directory does not
/// tell.
fn is_left_out(path: &Path, name: &OsStr, is_directory: bool) -> io::Result<bool> {
    if !is_directory {
        return Ok(is_file_left_out(name));
    }
    match name.as_bytes() {
        b".cargo" => Ok(false),
        b"target" | [b'.', ..] => Ok(true),
        _ => fs::exists(path.join("CACHEDIR.TAG")),
    }
}

/// The same for a file, which its name tells.
pub(crate) fn is_file_left_out(name: &OsStr) -> bool {
    let name = name.as_bytes();
    if name.starts_with(b".") {
        return name != b".cargo";
    }
    let is_log = || name.starts_with(b"hotswap") && name.windows(4).any(|part| part == b".log");
    name.ends_with(b"~")
        || name.ends_with(b".swp")
        || name.ends_with(b".swx")
        || name.ends_with(b".tmp")
        || (name.len() > 1 && name.starts_with(b"#") && name.ends_with(b"#"))
        || name == b"4913" // vim asks with this name whether it may write
        || is_log()
}

/// What lies in a package's root and does not go into its library. (Where it
/// does, by `include_str!`, the `.d` file names it.)
fn is_beside_the_library(entry: &DirEntry) -> bool {
    if entry.file_type().is_dir() {
        matches!(entry.file_name().to_str(), Some("tests" | "benches" | "examples"))
    } else {
        entry.path().extension() == Some(OsStr::new("md"))
    }
}

/// Decides which errors of a walk mean nothing.
fn pass_over(root: &Path, error: walkdir::Error) -> Result<(), WalkFailure> {
    if error.loop_ancestor().is_some() {
        return Ok(());
    }
    let path = error.path().unwrap_or(root).to_owned();
    let error = error
        .into_io_error()
        .expect("a walk fails with a loop or an input/output error, and it is no loop");
    // Gone since its directory was read, or a link to nowhere, as Emacs makes
    // them for its locks. If the build needs it, the build will say so.
    let is_gone = is_absent(&error);
    let is_left_out = path.file_name().is_some_and(|name| path != root && is_file_left_out(name));
    if is_gone || is_left_out {
        return Ok(());
    }
    Err(WalkFailure { path, error })
}

/// Whether there is nothing at the path.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let files = files_below(root, &[]).map_err(|failure| failure.error).unwrap();
        let mut names: Vec<String> = files
            .iter()
            .map(|path| path.strip_prefix(root).unwrap().display().to_string())
            .collect();
        names.sort();
        names
    }

    fn write(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    #[test]
    fn what_no_build_reads_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(
            root,
            &[
                "Cargo.toml",
                "src/lib.rs",
                "src/lib.rs~",
                "src/.lib.rs.swp",
                "src/x.swx",
                "src/#lib.rs#",
                "src/4913",
                "src/a.tmp",
                "target/x",
                "sub/target/y",
                ".git/z",
                ".cargo/config.toml",
                "cache/CACHEDIR.TAG",
                "cache/x",
                "tests/t.rs",
                "benches/b.rs",
                "examples/e.rs",
                "README.md",
                "src/doc.md",
                "src/tests/mod.rs",
                "hotswap.log",
                "hotswap-7.log.1",
            ],
        );
        let expected =
            [".cargo/config.toml", "Cargo.toml", "src/doc.md", "src/lib.rs", "src/tests/mod.rs"];
        assert_eq!(names(root), expected);
    }

    #[test]
    fn a_build_script_may_read_everything() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, &["build.rs", "README.md", "tests/t.rs"]);
        assert_eq!(names(root), ["README.md", "build.rs", "tests/t.rs"]);
        fs::remove_file(root.join("build.rs")).unwrap();
        assert!(names(root).is_empty());
        fs::write(root.join("Cargo.toml"), "[package]\nbuild = \"b.rs\"").unwrap();
        assert_eq!(names(root), ["Cargo.toml", "README.md", "tests/t.rs"]);
    }

    #[test]
    fn links_are_followed_loops_and_links_to_nowhere_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, &["src/lib.rs"]);
        write(elsewhere.path(), &["m.rs"]);
        symlink(elsewhere.path(), root.join("linked")).unwrap();
        symlink(elsewhere.path().join("m.rs"), root.join("m.rs")).unwrap();
        symlink("..", root.join("src/up")).unwrap();
        symlink("nobody@host.1", root.join("src/.#lib.rs")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        assert_eq!(names(root), ["linked/m.rs", "m.rs", "src/lib.rs"]);
    }
}
