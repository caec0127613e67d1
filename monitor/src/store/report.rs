//! What a library was built from, and what the compiler said: a text for people, beside each library that was built here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hotswap_artifact::{Artifact, Diagnostics, Origin};
use hotswap_system::fs;

use super::{trim, whole};
use crate::build::Tool;
use crate::build::ledger::JobFile;

/// How many reports are kept in one target directory: one of each source, and more of fewer sources. One takes a line for each
/// file, and what the compiler said.
const REPORTS_MAX: usize = super::SOURCES_MAX;

/// How many digits of the hash of a library tell apart what was built of one source in several ways.
const CONTENT_DIGITS: usize = 12;

/// Where the report of a library lies: a text with the source's fingerprint, the SHA-1 and path of each file that it covers,
/// as `sha1sum -c` reads them, and the compiler's output. `None` of what somebody else built. Written when the library was
/// handed over; it may be gone after some hundred others.
#[must_use]
pub fn build_report(artifact: &Artifact) -> Option<PathBuf> {
    let store = match artifact.origin {
        Origin::Built => artifact.path.parent()?,
        Origin::Foreign => return None,
    };
    let content = artifact.content.to_string();
    let name = format!("{}-{}.txt", artifact.fingerprint, &content[..CONTENT_DIGITS]);
    Some(store.join("builds").join(name))
}

/// Makes room for the report of a library. Before it is handed over: afterwards the source may be moved away, and
/// must not come to be again by a directory of ours.
pub(crate) fn make_room(artifact: &Artifact) {
    let report = build_report(artifact);
    // Whoever writes there says what is wrong.
    let _ = report.as_deref().and_then(Path::parent).map(fs::create_dir_all);
}

/// Writes the report of a library, for which there is room. One that cannot be written is missed by nobody but its reader.
pub(crate) fn write_report(
    artifact: &Artifact,
    source_name: &str,
    by: Tool,
    files: &[JobFile],
    diagnostics: &Diagnostics,
) {
    let Some(path) = build_report(artifact) else { return };
    let Some(directory) = path.parent() else { return };
    let text = render(artifact, source_name, by, files, diagnostics);
    if let Err(error) = whole::write(&path, text.as_bytes()) {
        log::warn!("cannot write what a library was built from to {}: {error}", path.display());
    }
    whole::sweep(directory);
    trim(directory, &[path.clone()].into(), REPORTS_MAX);
}

fn render(
    artifact: &Artifact,
    source_name: &str,
    by: Tool,
    files: &[JobFile],
    diagnostics: &Diagnostics,
) -> String {
    let mut text = format!(
        "# source {source_name}, sha1:{}\n# library sha256:{}, {} bytes\n# built by {by} in {} ms, {} warnings\n",
        artifact.fingerprint,
        artifact.content,
        artifact.bytes,
        artifact.build_time.as_millis(),
        diagnostics.warning_count,
    );
    for file in files {
        let _ = writeln!(text, "{}  {}", file.digest, file.path.display());
    }
    let said = diagnostics.plain();
    if !said.trim().is_empty() {
        let _ = write!(text, "\n{}\n", said.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotswap_artifact::{ContentHash, Fingerprint};

    use super::*;

    #[test]
    fn a_report_names_source_files_and_what_the_compiler_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut artifact = Artifact {
            path: directory.path().join("store/x.so"),
            fingerprint: Fingerprint::of(b"source"),
            content: ContentHash::of(b"library"),
            bytes: 7,
            origin: Origin::Built,
            build_time: Duration::from_millis(812),
            release: None,
            home: directory.path().join("stage"),
        };
        let digest = Fingerprint::of(b"fn main() {}");
        let path = Path::new("/s/game/src/lib.rs");
        let name = PathBuf::from("src/lib.rs");
        let file = JobFile { name, path: path.to_owned(), digest, modified: (0, 0) };
        let mut diagnostics = Diagnostics::default();
        diagnostics.rendered = "\u{1b}[33mwarning\u{1b}[0m: unused\n\n".to_owned();
        diagnostics.warning_count = 1;
        make_room(&artifact);
        write_report(&artifact, "game", Tool::Cargo, &[file], &diagnostics);
        let report = build_report(&artifact).unwrap();
        let expected = format!(
            "# source game, sha1:{}\n# library sha256:{}, 7 bytes\n# built by cargo in 812 ms, 1 warnings\n\
             {digest}  /s/game/src/lib.rs\n\nwarning: unused\n",
            artifact.fingerprint, artifact.content
        );
        assert_eq!(std::fs::read_to_string(report).unwrap(), expected);
        artifact.origin = Origin::Foreign;
        assert_eq!(build_report(&artifact), None);
    }
}
