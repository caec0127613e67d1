//! Where things are in a library, so that a test can damage them.

use std::ops::Range;

/// One section of a library of 64 bits in this machine's byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Where its entry in the section table begins.
    pub entry: usize,
    /// Its bytes in the file.
    pub range: Range<usize>,
}

impl Section {
    /// Where the entry has the section's address in the image: 8 bytes.
    #[must_use]
    pub const fn address(&self) -> usize {
        self.entry + 16
    }

    /// Where the entry has the section's place in the file: 8 bytes.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.entry + 24
    }

    /// Where the entry has the section's size: 8 bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.entry + 32
    }
}

/// The bytes of one entry of the section table.
const ENTRY_BYTES: usize = 64;

/// The section table of a whole library.
#[must_use]
pub fn section_table(library: &[u8]) -> Range<usize> {
    let start = number(library, 40, 8);
    start..start + ENTRY_BYTES * number(library, 60, 2)
}

/// The section of this name of a whole library.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn section(library: &[u8], name: &str) -> Section {
    let table = section_table(library);
    let names = at(library, table.start + ENTRY_BYTES * number(library, 62, 2)).range;
    let is_wanted = |entry: &usize| {
        let text = &library[names.start + number(library, *entry, 4)..names.end];
        text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0)
    };
    let entry = table.step_by(ENTRY_BYTES).find(is_wanted);
    at(library, entry.unwrap_or_else(|| panic!("there is no section {name}")))
}

fn at(library: &[u8], entry: usize) -> Section {
    let start = number(library, entry + 24, 8);
    Section { entry, range: start..start + number(library, entry + 32, 8) }
}

fn number(library: &[u8], start: usize, length: usize) -> usize {
    let mut bytes = [0; 8];
    bytes[..length].copy_from_slice(&library[start..start + length]);
    usize::from_le_bytes(bytes)
}
