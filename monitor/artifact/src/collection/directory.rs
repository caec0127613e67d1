//! The modules below a directory.

use std::io;
use std::path::{Path, PathBuf};

use hotswap_system::fs;

use crate::{Collection, FetchError, ModuleName, Source};

/// What builds write, which no module is in.
const TARGET: &str = "target";

/// The modules below a directory: a crate's directory `greet`, a file `greet.rs`, or a library `libgreet.so` or `greet.so`; in a
/// directory that is no crate, `a/greet`.
///
/// The directory need not be there yet. One called `target` is passed over. A module that is there in two forms is an error that
/// names both.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// The modules below this directory. A relative path is taken from the working directory of now. Reads nothing.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// Adds the modules of one directory to `names`, and the directories in it to `folders`.
    fn list(
        &self,
        folder: &Path,
        folders: &mut Vec<PathBuf>,
        names: &mut Vec<ModuleName>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str().filter(|name| *name != TARGET) else {
                continue;
            };
            let is_folder = fs::metadata(&path).is_ok_and(|found| found.is_dir());
            if is_folder && !fs::exists(path.join("Cargo.toml"))? {
                // Not through links, which may lead round in circles.
                if ModuleName::is_part(file_name) && entry.file_type()?.is_dir() {
                    folders.push(path);
                }
                continue;
            }
            let module = match file_name.rsplit_once('.') {
                _ if is_folder => file_name,
                Some((stem, "rs")) => stem,
                Some((stem, "so")) => stem.strip_prefix("lib").unwrap_or(stem),
                _ => continue,
            };
            let inside = folder.strip_prefix(&self.0).unwrap_or(Path::new(""));
            let name = inside.join(module);
            // Files of other names are none of ours.
            names.extend(name.to_str().and_then(|name| ModuleName::new(name).ok()));
        }
        Ok(())
    }
}

impl Collection for Directory {
    fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
        let mut names = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            match self.list(&folder, &mut folders, &mut names) {
                // Gone, or not there yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                listed => listed.map_err(|error| failed(&folder, error))?,
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
        let (folder, part) = name.split();
        if name.as_str().split('/').any(|part| part == TARGET) {
            return Ok(None);
        }
        let folder = self.0.join(folder);
        let forms = [
            (folder.join(part).join("Cargo.toml"), Source::Crate(folder.join(part))),
            file(&folder, &format!("{part}.rs"), Source::File),
            file(&folder, &format!("lib{part}.so"), Source::Prebuilt),
            file(&folder, &format!("{part}.so"), Source::Prebuilt),
        ];
        let mut found = None;
        for (proof, source) in forms {
            if !fs::exists(&proof).map_err(|error| failed(&proof, error))? {
                continue;
            }
            if let Some(other) = found.replace(source.clone()) {
                return Err(FetchError::refused(format!(
                    "{name} is both {other} and {source}: rename or remove one"
                )));
            }
        }
        Ok(found)
    }
}

fn file(folder: &Path, name: &str, form: fn(PathBuf) -> Source) -> (PathBuf, Source) {
    let path = folder.join(name);
    (path.clone(), form(path))
}

fn failed(path: &Path, error: io::Error) -> FetchError {
    FetchError::unavailable(format!("cannot read {}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        for file in [
            "greet.rs",
            "libnative.so",
            "plain.so",
            "notes.txt",
            "2048.rs",
            "game/Cargo.toml",
            "game/src/lib.rs",
            "a/greet/Cargo.toml",
            "a/b/rules.rs",
            "target/debug/libgreet.so",
            ".git/hook.rs",
        ] {
            let path = place.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let directory = Directory::new(place.path());
        (place, directory)
    }

    fn name(text: &str) -> ModuleName {
        ModuleName::new(text).unwrap()
    }

    #[test]
    fn modules_are_found_by_what_they_are() {
        let (place, directory) = directory();
        // Round in a circle.
        std::os::unix::fs::symlink(place.path(), place.path().join("a/again")).unwrap();
        let names: Vec<_> = directory.names().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a/b/rules", "a/greet", "game", "greet", "native", "plain"]);
        for (module, kind) in
            [("greet", "file"), ("native", "prebuilt"), ("plain", "prebuilt"), ("game", "crate")]
        {
            assert_eq!(directory.source(&name(module)).unwrap().unwrap().kind(), kind);
        }
        for module in names {
            assert!(directory.source(&name(&module)).unwrap().is_some(), "{module}");
        }
        for absent in ["a", "notes", "a/rules", "target/debug/greet"] {
            assert_eq!(directory.source(&name(absent)).unwrap(), None, "{absent}");
        }
    }

    #[test]
    fn what_appears_and_disappears_is_seen() {
        let (place, directory) = directory();
        std::fs::write(place.path().join("late.rs"), "").unwrap();
        assert!(directory.source(&name("late")).unwrap().is_some());
        std::fs::remove_file(place.path().join("late.rs")).unwrap();
        assert_eq!(directory.source(&name("late")).unwrap(), None);
        let nowhere = Directory::new(place.path().join("nowhere"));
        assert_eq!(nowhere.names().unwrap(), []);
        assert_eq!(nowhere.source(&name("greet")).unwrap(), None);
    }

    #[test]
    fn a_module_in_two_forms_is_told() {
        let (place, directory) = directory();
        std::fs::write(place.path().join("libgreet.so"), "").unwrap();
        let error = directory.source(&name("greet")).unwrap_err().to_string();
        assert!(error.contains("greet.rs and ") && error.contains("remove one"), "{error}");
    }
}
