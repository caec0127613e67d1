//! The directories of crates that name each other by path.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hotswap_system::fs;

/// The directories of the crates that these lines of a manifest name by `path`, and of all that these name.
pub(super) fn named_in(lines: &[String]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> =
        lines.iter().flat_map(|line| paths(line)).filter(|path| path.is_absolute()).collect();
    while let Some(package) = open.pop() {
        if found.insert(package.clone()) {
            open.extend(neighbours(&package));
        }
    }
    found
}

/// This crate's directory, and those of the crates that it names.
pub(super) fn with_named(package: &Path) -> BTreeSet<PathBuf> {
    named_in(&[format!("path = {:?}", package.display().to_string())])
}

/// The directory of the workspace that a crate is a member of; its own where there is none.
pub(super) fn workspace(package: &Path) -> &Path {
    let is_root = |directory: &&Path| {
        fs::read_to_string(directory.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.contains("[workspace"))
    };
    package.ancestors().find(is_root).unwrap_or(package)
}

/// What the crate and the workspace above it name. A workspace names more than the crate takes; all of it is code of the same people.
fn neighbours(package: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in package.ancestors() {
        let Ok(manifest) = fs::read_to_string(directory.join("Cargo.toml")) else { continue };
        let is_of_the_crate = directory == package || manifest.contains("[workspace");
        if is_of_the_crate {
            // A workspace that is a crate itself is that as a crate only.
            found.extend(paths(&manifest).into_iter().filter_map(|path| {
                let named = fs::canonicalize(directory.join(path)).ok()?;
                (named.is_dir() && !package.starts_with(&named)).then_some(named)
            }));
        }
    }
    found
}

/// The texts behind `path =`. More than cargo would find, which is readable and nothing else.
fn paths(manifest: &str) -> Vec<PathBuf> {
    let behind = manifest.split("path").skip(1);
    behind
        .filter_map(|rest| rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"'))
        .filter_map(|rest| rest.split('"').next())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_found_by_path_through_their_workspace() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace]\n[workspace.dependencies]\nb = { path = \"b\" }\n");
        write("a/Cargo.toml", "[dependencies]\nb.workspace = true\nc = {path=\"../c\"}\n");
        write("b/Cargo.toml", "[lib]\npath = \"src/lib.rs\"\n");
        write("c/Cargo.toml", "");
        write("secret/key", "");
        let line = format!("a = {{ path = {:?} }}", root.join("a"));
        let expected = ["a", "b", "c"].map(|name| root.join(name));
        assert_eq!(named_in(&[line]), expected.into());
        assert_eq!(named_in(&["a = \"1\"".to_owned()]), BTreeSet::new());
    }
}
