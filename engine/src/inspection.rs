//! What a library says of itself, without loading it.

use std::fmt;
use std::path::{Path, PathBuf};

use hotswap_artifact::ContentHash;
use hotswap_module::__private::{Exported, Kind, short};
use hotswap_system::fs;

use crate::export::ExportInfo;
use crate::load_error::LoadErrorKind;
use crate::verify::{Verified, file_error, verify};

/// A module that is whole and fits this host, as far as its file can tell; nothing of it has run.
///
/// For who deploys: the checks are those that an engine makes before it loads anything. What it checks besides depends
/// on what its callers rely on, and on the module's own load hooks.
///
/// ```
/// use hotswap_engine::{Inspection, LoadErrorKind};
///
/// let error = Inspection::of_file("Cargo.toml").expect_err("no library");
/// assert!(matches!(error.kind, LoadErrorKind::Damaged { .. }));
/// assert_eq!(
///     error.to_string(),
///     "Cargo.toml is not a whole library: it does not begin like an ELF file"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// SHA-256 of the file's bytes, as hotswap.log has it.
    pub content: ContentHash,
    /// The crate that it was built from.
    pub crate_name: String,
    /// Whether it was built with debug assertions.
    pub debug_assertions: bool,
    /// What can be called, in the order of names.
    pub exports: Vec<ExportInfo>,
    /// What its host must provide, in the order of names; of what it finds by name alone the signature is empty.
    pub needs: Vec<ExportInfo>,
    /// The shared libraries that it links, by the names that the loader looks for. What a process does not have of them
    /// comes with the module, and stays when it goes.
    pub libraries: Vec<String>,
    /// The functions of the C library that it imports on whose account no version of it is ever unmapped
    /// ([`PinKind::Import`](crate::PinKind::Import)).
    pub kept_by: Vec<String>,
    /// Whether it asks the loader never to unmap it (`-z nodelete`). An engine clears that in its own copy.
    pub is_nodelete: bool,
}

/// A library cannot be loaded by this host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InspectionError {
    /// The library.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: LoadErrorKind,
}

impl Inspection {
    /// Reads a library and checks it. Blocks for as long as reading takes; all of it is held in memory meanwhile.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or an engine of this host would refuse it before loading it.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, InspectionError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| file_error("read", path, error));
        let kind = match bytes {
            Ok(bytes) => return Self::of(path, &bytes),
            Err(kind) => kind,
        };
        Err(InspectionError { path: path.to_owned(), kind })
    }

    /// Checks the bytes of a library; `path` is what errors name it by.
    ///
    /// # Errors
    ///
    /// When an engine of this host would refuse it before loading it.
    pub fn of(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<Self, InspectionError> {
        let path = path.into();
        match verify(&path, bytes) {
            Ok(verified) => Ok(Self::new(verified, ContentHash::of(bytes))),
            Err(kind) => Err(InspectionError { path, kind }),
        }
    }

    fn new(verified: Verified, content: ContentHash) -> Self {
        let of_kind = |kind: Kind| {
            let records = verified.exports.iter().filter(|record| record.kind == kind);
            records.map(info).collect()
        };
        Self {
            content,
            exports: of_kind(Kind::Export),
            needs: of_kind(Kind::Need),
            libraries: verified.linkage.libraries,
            kept_by: verified.linkage.keeping,
            is_nodelete: !verified.linkage.unpinned.is_empty(),
            debug_assertions: verified.root.debug_assertions,
            crate_name: verified.root.name,
        }
    }
}

fn info(record: &Exported) -> ExportInfo {
    let (name, signature) = (record.name.clone(), short(&record.signature));
    ExportInfo { name, signature, deadline: record.deadline() }
}

impl fmt::Display for InspectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

// The kind is the text, so the cause is the kind's own.
impl std::error::Error for InspectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}
