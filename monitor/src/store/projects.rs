//! What cargo answered about packages, across processes: where cargo is gone, what it said of the very same
//! manifests still holds, and what was built of them is found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hotswap_artifact::{Fingerprint, FingerprintHasher};
use hotswap_system::fs;
use serde_json::{Value, json};

use super::whole;
use crate::BuildSettings;
use crate::project::{Project, features};

/// Changes with the format.
const FORMAT: &str = concat!("hotswap-project 2 ", env!("CARGO_PKG_VERSION"));

/// The manifests that an answer depends on: files and their hashes.
pub(crate) type Manifests = BTreeMap<PathBuf, Fingerprint>;

/// Remembers an answer. One that cannot be written costs a process without cargo its start, and nothing else.
pub(crate) fn remember(
    target_dir: &Path,
    package: &Path,
    settings: &BuildSettings,
    project: &Project,
    manifests: &Manifests,
) {
    let Some(text) = render(project, manifests) else { return };
    let directory = directory(target_dir);
    let path = directory.join(name(package, settings));
    if fs::read(&path).is_ok_and(|present| present == text.as_bytes()) {
        return;
    }
    let written =
        fs::create_dir_all(&directory).and_then(|()| whole::write(&path, text.as_bytes()));
    if let Err(error) = written {
        log::warn!("cannot remember what cargo said in {}: {error}", path.display());
    }
    whole::sweep(&directory);
    super::trim(&directory, &[path].into(), super::SOURCES_MAX);
}

/// What cargo answered in an earlier process, and the manifests that it looked at.
pub(crate) fn recall(
    target_dir: &Path,
    package: &Path,
    settings: &BuildSettings,
) -> Option<(Project, Manifests)> {
    parse(&fs::read(directory(target_dir).join(name(package, settings))).ok()?)
}

fn directory(target_dir: &Path) -> PathBuf {
    target_dir.join("store/projects")
}

fn name(package: &Path, settings: &BuildSettings) -> PathBuf {
    let mut key = FingerprintHasher::new();
    key.piece(FORMAT.as_bytes());
    key.piece(package.as_os_str().as_encoded_bytes());
    for argument in features(settings) {
        key.piece(argument.as_bytes());
    }
    PathBuf::from(key.finish().to_string()).with_extension("json")
}

/// `None` where a path is not UTF-8: cargo takes none of those.
fn render(project: &Project, manifests: &Manifests) -> Option<String> {
    let mut packages = serde_json::Map::new();
    for (path, name) in &project.packages {
        packages.insert(path.to_str()?.to_owned(), name.as_str().into());
    }
    let mut digests = serde_json::Map::new();
    for (path, digest) in manifests {
        digests.insert(path.to_str()?.to_owned(), digest.to_string().into());
    }
    let line = json!({
        "workspace_root": project.workspace_root.to_str()?,
        "packages": packages,
        "library_name": project.library_name,
        "has_build_script": project.has_build_script,
        "manifests": digests,
    });
    Some(whole::seal(&line.to_string()))
}

fn parse(bytes: &[u8]) -> Option<(Project, Manifests)> {
    let value: Value = serde_json::from_str(whole::unseal(bytes)?).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut project = Project {
        workspace_root: text(&value["workspace_root"])?.into(),
        packages: BTreeMap::new(),
        library_name: text(&value["library_name"]),
        has_build_script: value["has_build_script"].as_bool()?,
    };
    for (path, name) in value["packages"].as_object()? {
        project.packages.insert(path.into(), text(name)?);
    }
    let mut manifests = Manifests::new();
    for (path, digest) in value["manifests"].as_object()? {
        manifests.insert(path.into(), digest.as_str()?.parse().ok()?);
    }
    Some((project, manifests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_recalled_by_the_same_package_and_features_only() {
        let directory = tempfile::tempdir().unwrap();
        let settings = BuildSettings::default();
        let project = Project {
            workspace_root: "/w".into(),
            packages: BTreeMap::from([("/w/game".into(), "game".to_owned())]),
            library_name: Some("game".to_owned()),
            has_build_script: true,
        };
        let manifests = Manifests::from([("/w/Cargo.toml".into(), Fingerprint::of(b"one"))]);
        let package = Path::new("/w/game");
        remember(directory.path(), package, &settings, &project, &manifests);
        let found = recall(directory.path(), package, &settings);
        assert_eq!(found, Some((project, manifests)));
        assert_eq!(recall(directory.path(), Path::new("/w/other"), &settings), None);
        let mut with_a_feature = settings.clone();
        with_a_feature.features.push("f".to_owned());
        assert_eq!(recall(directory.path(), package, &with_a_feature), None);
        let file = super::directory(directory.path()).join(name(package, &settings));
        let text = fs::read(&file).unwrap();
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), None, "cut at {end}");
        }
    }
}
