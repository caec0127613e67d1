//! Which files below a directory go into a build.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hotswap_system::fs;

use super::answers::{Answers, Kind};
use super::listings::{Listed, ListedKind, Listing};
use super::stat::Identity;

/// A path that could not be looked at.
pub(crate) struct WalkFailure {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// Lists the regular files below `root` that may go into a build. Links are
/// followed, a loop of links once. A root that does not exist has no files.
pub(super) fn files_below(
    root: &Path,
    not_below: &[PathBuf],
    answers: &mut Answers,
) -> Result<Vec<PathBuf>, WalkFailure> {
    let fail = |error| WalkFailure { path: root.to_owned(), error };
    let Some(Kind::Directory) = answers.kind(root).map_err(fail)? else { return Ok(Vec::new()) };
    let (listing, identity) = answers.list(root).map_err(fail)?;
    let whole_package = has_build_script(root, &listing, answers)?;
    let mut walk =
        Walk { answers, not_below, whole_package, within: vec![identity], files: Vec::new() };
    walk.directory(root, &listing)?;
    Ok(walk.files)
}

/// On the way through the directories below a root.
struct Walk<'a> {
    answers: &'a mut Answers,
    not_below: &'a [PathBuf],
    whole_package: bool,
    /// The directories from the root to here: a link back to one of them is a loop.
    within: Vec<Identity>,
    files: Vec<PathBuf>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, listing: &Listing) -> Result<(), WalkFailure> {
        for entry in &listing.entries {
            let path = directory.join(&entry.name);
            let fail = |error| WalkFailure { path: path.clone(), error };
            let is_in_root = self.within.len() == 1;
            match self.kind(&path, entry).map_err(fail)? {
                Some(Kind::File) => {
                    let is_left_out = is_file_left_out(&entry.name)
                        || (is_in_root && !self.whole_package && is_text_beside(&entry.name));
                    if !is_left_out {
                        if entry.kind == ListedKind::Link {
                            self.answers.note_link(path.clone());
                        }
                        self.files.push(path);
                    }
                }
                Some(Kind::Directory) => {
                    let is_left_out = is_directory_left_out(&entry.name)
                        || (is_in_root && !self.whole_package && is_folder_beside(&entry.name));
                    if is_left_out || self.not_below.contains(&path) {
                        continue;
                    }
                    let (listing, identity) = match self.answers.list(&path) {
                        Ok(found) => found,
                        // Gone since its directory was read.
                        Err(error) if is_absent(&error) => continue,
                        Err(error) => return Err(fail(error)),
                    };
                    if !listing.is_cache && !self.within.contains(&identity) {
                        self.within.push(identity);
                        self.directory(&path, &listing)?;
                        self.within.pop();
                    }
                }
                Some(Kind::Other) | None => {}
            }
        }
        Ok(())
    }

    /// What an entry is, or leads to. A link to nowhere, as Emacs makes them for its
    /// locks, is nothing; if the build needs it, the build will say so.
    fn kind(&mut self, path: &Path, entry: &Listed) -> io::Result<Option<Kind>> {
        match entry.kind {
            ListedKind::File => Ok(Some(Kind::File)),
            ListedKind::Directory => Ok(Some(Kind::Directory)),
            ListedKind::Link => match self.answers.kind(path) {
                Err(_) if is_file_left_out(&entry.name) => Ok(None),
                kind => kind,
            },
        }
    }
}

/// Whether cargo runs a build script for the package, which may read anything. An error is no answer: the same
/// files would have another fingerprint for a moment, and what is built of them would be remembered under that.
fn has_build_script(
    package: &Path,
    listing: &Listing,
    answers: &mut Answers,
) -> Result<bool, WalkFailure> {
    let is_listed = |name: &str| listing.entries.iter().any(|entry| entry.name == name);
    let (script, manifest) = (package.join("build.rs"), package.join("Cargo.toml"));
    if is_listed("build.rs")
        && answers.kind(&script).map_err(|error| WalkFailure { path: script, error })?.is_some()
    {
        return Ok(true);
    }
    // Asked for its hash first: what is read is not older than that.
    let text = match answers.hash(&manifest) {
        Ok(_) => fs::read(&manifest),
        Err(error) => Err(error),
    };
    match text {
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

/// What no build reads: outputs, hidden directories. Directories that say that they are a cache are no inputs either.
pub(super) fn is_directory_left_out(name: &OsStr) -> bool {
    match name.as_bytes() {
        b".cargo" => false,
        b"target" | [b'.', ..] => true,
        _ => false,
    }
}

/// The same for a file: hidden files, what editors and engines leave.
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
fn is_folder_beside(name: &OsStr) -> bool {
    matches!(name.to_str(), Some("tests" | "benches" | "examples"))
}

/// The same for a file.
fn is_text_beside(name: &OsStr) -> bool {
    Path::new(name).extension() == Some(OsStr::new("md"))
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
        let files =
            files_below(root, &[], &mut Answers::new()).map_err(|failure| failure.error).unwrap();
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
