//! The exports of a module that is linked and not loaded.

use crate::record::{Exported, Kind, Table};
use crate::root::Needs;
use crate::shim::Shim;
use crate::signature::Signature;

/// The exports of a linked module, for `Engine::linked`: what `exports()` of a module crate gives.
#[derive(Debug, Clone)]
pub struct Linked {
    name: String,
    exports: Vec<LinkedExport>,
    needs: Needs,
}

/// One linked export.
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct LinkedExport {
    /// Its record.
    pub record: Exported,
    /// The function to call.
    pub shim: Option<Shim>,
    /// Its signature.
    pub signature: Option<&'static Signature>,
}

/// Makes the section exist in every program, so that its bounds are always defined. A zero
/// word is padding to the reader.
#[used]
#[unsafe(link_section = "hotswap_exports")]
static PADDING: u64 = 0;

unsafe extern "C" {
    #[link_name = "__start_hotswap_exports"]
    static SECTION_START: u8;
    #[link_name = "__stop_hotswap_exports"]
    static SECTION_STOP: u8;
}

impl Linked {
    /// The records that the crate of `path`, and the crates it `uses`, have in this program.
    #[doc(hidden)]
    #[must_use]
    pub fn new(path: &str, uses: &[&str], needs: Needs) -> Self {
        let name = path.split("::").next().unwrap_or(path);
        let start = &raw const SECTION_START;
        let length = (&raw const SECTION_STOP) as usize - start as usize;
        // SAFETY: the linker defines both symbols as the bounds of the section, which is
        // constant data of this program, initialised to its last byte.
        let bytes = unsafe { std::slice::from_raw_parts(start, length) };
        let records = Table::read(bytes).expect("the section of this very program is whole");
        let exports = records
            .into_iter()
            .filter(|record| record.crate_name() == name || uses.contains(&record.crate_name()))
            .map(|record| {
                // SAFETY:
                // 1. Section: `start` is its start, and the offset comes from `read` of it.
                // 2. Mapped: the program's own image is never unmapped.
                let (shim, signature) = unsafe { Table::pointers(start, record.offset) };
                LinkedExport { record, shim, signature }
            })
            .collect();
        Self { name: name.to_owned(), exports, needs }
    }

    /// The crate's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of what is exported, in alphabetical order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .exports
            .iter()
            .filter(|export| export.record.kind == Kind::Export)
            .map(|export| export.record.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    #[doc(hidden)]
    #[must_use]
    pub fn exports(&self) -> &[LinkedExport] {
        &self.exports
    }

    #[doc(hidden)]
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }
}
