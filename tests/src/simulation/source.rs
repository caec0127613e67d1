//! The source of a schedule: one file.

use std::fs;
use std::path::PathBuf;

use super::action::Edit;

/// A file that is edited past the seam: a fault is never the editor's.
#[derive(Debug, Clone)]
pub(super) struct SourceFile(pub(super) PathBuf);

impl SourceFile {
    /// Does what an editor does.
    pub(super) fn apply(&self, edit: Edit) {
        let Some(text) = edit.text else {
            // It may be gone already.
            let _absent = fs::remove_file(&self.0);
            return;
        };
        let written = if edit.is_renamed {
            let beside = self.0.with_extension("swp");
            fs::write(&beside, format!("{text}\n")).and_then(|()| fs::rename(&beside, &self.0))
        } else {
            fs::write(&self.0, format!("{text}\n"))
        };
        written.expect("a temporary directory is writable");
    }
}
