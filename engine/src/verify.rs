//! Reads a library before it is loaded: loading runs its constructors, and a cut-off file
//! kills the process with SIGBUS.
//!
//! Nothing in the bytes is trusted; what comes out has another type.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hotswap_module::__private::{Exported, Kind, Root, RootFacts, Table, section};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::linkage::{self, Linkage};
use crate::load_error::LoadErrorKind;

/// A library that is whole, of this machine and compiler, and a module; not loaded yet.
#[derive(Debug)]
pub(crate) struct Verified {
    /// What everything that is mapped looks like from outside; what differs here is other code.
    pub(crate) shape: Shape,
    pub(crate) root: RootFacts,
    /// Address of the root symbol within the image.
    pub(crate) root_address: u64,
    /// Address and length of the export records within the image.
    pub(crate) exports_address: u64,
    pub(crate) exports_length: usize,
    pub(crate) exports: Vec<Exported>,
    /// Address and bytes of the build id within the image.
    pub(crate) build_id_address: u64,
    pub(crate) build_id: Vec<u8>,
    pub(crate) linkage: Linkage,
    /// Where its code lies within the image.
    pub(crate) code: Vec<Range<u64>>,
}

impl Verified {
    /// The function exported under `name`.
    pub(crate) fn export(&self, name: &str) -> Option<&Exported> {
        self.exports.iter().find(|export| export.kind == Kind::Export && export.name == name)
    }

    /// The host functions that exports mention by name.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &Exported> {
        self.exports.iter().filter(|export| export.kind == Kind::Need)
    }
}

/// Checks the bytes of a library.
pub(crate) fn verify(path: &Path, bytes: &[u8]) -> Result<Verified, LoadErrorKind> {
    let damaged =
        |reason: &str| LoadErrorKind::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    architecture(path, bytes)?;
    let file = ElfFile64::<Endianness>::parse(bytes)
        .map_err(|error| damaged(&error.to_string().to_lowercase()))?;
    extents(&file, bytes.len() as u64).map_err(|reason| damaged(&reason))?;

    let not_a_module = |reason: &str| LoadErrorKind::NotAModule { reason: reason.to_owned() };
    let root_symbol = file
        .dynamic_symbols()
        .find(|symbol| symbol.name() == Ok(Root::SYMBOL) && symbol.is_definition())
        .ok_or_else(|| {
            not_a_module("it does not export HOTSWAP_ROOT; write `hotswap_module::module!();` in src/lib.rs, and let an engine or `hotswap check` build it")
        })?;
    let root_section = section_data(&file, section::ROOT)
        .filter(|_| root_symbol.address().is_multiple_of(RECORD_ALIGN))
        .ok_or_else(|| not_a_module("its root record is missing, or not where it is mapped"))?;
    let start = root_symbol.address().checked_sub(root_section.address);
    let root_bytes = start
        .and_then(|start| root_section.bytes.get(usize::try_from(start).ok()?..))
        .ok_or_else(|| not_a_module("its root symbol lies outside its root record"))?;
    let root = Root::read(root_bytes)
        .map_err(|reason| not_a_module(&format!("its root record is malformed: {reason}")))?;
    same_world(&root)?;

    let records = section_data(&file, section::EXPORTS)
        .filter(|records| records.address.is_multiple_of(RECORD_ALIGN))
        .ok_or_else(|| not_a_module("it has no table of exports where one is mapped"))?;
    let mut exports =
        Table::read(records.bytes).map_err(|error| not_a_module(&error.to_string()))?;
    exports.sort_by(|left, right| left.name.cmp(&right.name));
    unique(&exports)?;
    let linkage = linkage::read(&file)?;
    let (build_id_address, build_id) = build_id(&file)
        .ok_or_else(|| not_a_module("it has no build id; let an engine or `hotswap check` build it, or link with -Wl,--build-id"))?;

    Ok(Verified {
        shape: shape(&file),
        root,
        root_address: root_symbol.address(),
        exports_address: records.address,
        exports_length: records.bytes.len(),
        exports,
        build_id_address,
        build_id,
        linkage,
        code: code(&file),
    })
}

/// The addresses that are mapped executable.
fn code(file: &ElfFile64<'_, Endianness>) -> Vec<Range<u64>> {
    let endian = file.endian();
    let is_code = |segment: &&elf::ProgramHeader64<Endianness>| {
        segment.p_type(endian) == elf::PT_LOAD && segment.p_flags(endian) & elf::PF_X != 0
    };
    let addresses = |segment: &elf::ProgramHeader64<Endianness>| {
        let start = segment.p_vaddr(endian);
        start..start.saturating_add(segment.p_memsz(endian))
    };
    file.elf_program_headers().iter().filter(is_code).map(addresses).collect()
}

/// The file's own header: what it is built for. For this, its first bytes are enough.
pub(crate) fn architecture(path: &Path, bytes: &[u8]) -> Result<(), LoadErrorKind> {
    let damaged = |reason: &str| {
        Err(LoadErrorKind::Damaged { path: path.to_owned(), reason: reason.to_owned() })
    };
    if bytes.is_empty() {
        return damaged("the file is empty");
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return damaged("it does not begin like an ELF file");
    }
    if bytes.len() < 64 {
        return damaged("it ends inside its header");
    }
    let machine = match bytes[5] {
        elf::ELFDATA2LSB => u16::from_le_bytes([bytes[18], bytes[19]]),
        _ => u16::from_be_bytes([bytes[18], bytes[19]]),
    };
    let found = format!(
        "{} {}-bit",
        machine_name(machine),
        if bytes[4] == elf::ELFCLASS64 { 64 } else { 32 }
    );
    let expected = format!("{} 64-bit", std::env::consts::ARCH);
    if found != expected {
        return Err(LoadErrorKind::Architecture { expected, found });
    }
    Ok(())
}

fn machine_name(machine: u16) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_386 => "x86".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_RISCV => "riscv64".to_owned(),
        elf::EM_S390 => "s390x".to_owned(),
        elf::EM_PPC64 => "powerpc64".to_owned(),
        other => format!("machine {other}"),
    }
}

/// Every segment and the section table lie inside the file: a cut file is found here, before
/// the loader maps pages that do not exist.
fn extents(file: &ElfFile64<'_, Endianness>, length: u64) -> Result<(), String> {
    let endian = file.endian();
    let header = file.elf_header();
    if header.e_type(endian) != elf::ET_DYN {
        return Err("it is no shared library".to_owned());
    }
    for segment in file.elf_program_headers() {
        let (start, size): (u64, u64) = (segment.p_offset(endian), segment.p_filesz(endian));
        if start.checked_add(size).is_none_or(|end| end > length) {
            return Err(format!(
                "a segment ends at byte {}, the file at byte {length}",
                start.saturating_add(size)
            ));
        }
    }
    let table = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    if header.e_shoff(endian).checked_add(table).is_none_or(|end| end > length) {
        return Err(format!("its section table ends beyond byte {length}, the file's end"));
    }
    let names = usize::from(header.e_shstrndx(endian));
    let mut sections = file.elf_section_table().iter();
    // Of a file that lost its end in a crash, the length is kept and what is missing reads as zeros.
    if table > 0
        && sections.nth(names).is_none_or(|header| header.sh_type(endian) != elf::SHT_STRTAB)
    {
        return Err("its section table has no names: its end was never written".to_owned());
    }
    for header in file.elf_section_table().iter() {
        if header.sh_type(endian) == elf::SHT_NOBITS {
            continue;
        }
        let (start, size): (u64, u64) = (header.sh_offset(endian), header.sh_size(endian));
        if start.checked_add(size).is_none_or(|end| end > length) {
            return Err(format!("a section ends beyond byte {length}, the file's end"));
        }
    }
    Ok(())
}

/// A section's place in the image and its bytes in the file.
struct SectionData<'data> {
    address: u64,
    bytes: &'data [u8],
}

/// A section that is mapped, by the segments, where its entry says: what is read here is what the loader will
/// put there, and reading it there reads nothing else. The entry alone says nothing: loaders ignore it.
fn section_data<'data>(
    file: &ElfFile64<'data, Endianness>,
    name: &str,
) -> Option<SectionData<'data>> {
    let section = file.section_by_name(name)?;
    let (offset, length) = section.file_range()?;
    let endian = file.endian();
    let holds = |segment: &elf::ProgramHeader64<Endianness>| {
        let (start, size) = (segment.p_offset(endian), segment.p_filesz(endian));
        let inside = offset.checked_sub(start);
        segment.p_type(endian) == elf::PT_LOAD
            && segment.p_flags(endian) & elf::PF_R != 0
            && inside.is_some_and(|inside| {
                inside.checked_add(length).is_some_and(|end| end <= size)
                    && segment.p_vaddr(endian).checked_add(inside) == Some(section.address())
            })
    };
    let is_mapped = file.elf_program_headers().iter().any(holds);
    let bytes = section.data().ok().filter(|_| is_mapped)?;
    Some(SectionData { address: section.address(), bytes })
}

/// Records are read through references once they are loaded.
const RECORD_ALIGN: u64 = 8;

/// Boundary, compiler, target and panic strategy: all must be this host's.
fn same_world(root: &RootFacts) -> Result<(), LoadErrorKind> {
    let ours = Root::expected();
    if root.abi_number != ours.abi_number {
        return Err(LoadErrorKind::Boundary {
            expected: ours.abi_number.to_string(),
            found: root.abi_number.to_string(),
        });
    }
    if root.rustc != ours.rustc || root.target != ours.target {
        return Err(LoadErrorKind::Toolchain {
            expected: format!("{} for {}", ours.rustc, ours.target),
            found: format!("{} for {}", root.rustc, root.target),
        });
    }
    if root.services_hash != ours.services_hash {
        return Err(LoadErrorKind::Boundary {
            expected: format!("{} ({:016x})", ours.abi_number, ours.services_hash),
            found: format!("{} ({:016x})", root.abi_number, root.services_hash),
        });
    }
    if !root.unwinds {
        return Err(LoadErrorKind::PanicAbort);
    }
    Ok(())
}

fn unique(exports: &[Exported]) -> Result<(), LoadErrorKind> {
    let functions: Vec<_> = exports.iter().filter(|export| export.kind == Kind::Export).collect();
    for pair in functions.windows(2) {
        if pair[0].name == pair[1].name {
            return Err(LoadErrorKind::Duplicate {
                name: pair[0].name.clone(),
                first: pair[0].owner.clone(),
                second: pair[1].owner.clone(),
            });
        }
    }
    Ok(())
}

/// A hash over the places of what a library has mapped. Equal ones say nothing: then [`is_same_code`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape(u64);

fn shape(file: &ElfFile64<'_, Endianness>) -> Shape {
    let mut hasher = DefaultHasher::new();
    mapped(file).for_each(|(place, _)| place.hash(&mut hasher));
    Shape(hasher.finish())
}

/// Whether two libraries behave alike: places and bytes of everything that is mapped. Without the build id, which differs
/// whenever the debug information does; that itself is not mapped.
pub(crate) fn is_same_code(one: &[u8], other: &[u8]) -> bool {
    let parse = |bytes| ElfFile64::<Endianness>::parse(bytes);
    let (Ok(one), Ok(other)) = (parse(one), parse(other)) else { return false };
    mapped(&one).eq(mapped(&other))
}

/// Address, size and flags of each section that is mapped, and its bytes; what has none in the file starts as zeros.
fn mapped<'data>(
    file: &ElfFile64<'data, Endianness>,
) -> impl Iterator<Item = ([u64; 3], &'data [u8])> {
    file.sections().filter_map(|section| {
        let object::SectionFlags::Elf { sh_flags } = section.flags() else { return None };
        let is_mapped = sh_flags & u64::from(elf::SHF_ALLOC) != 0;
        (is_mapped && section.name() != Ok(BUILD_ID_SECTION)).then(|| {
            ([section.address(), section.size(), sh_flags], section.data().unwrap_or_default())
        })
    })
}

/// The section of the build id.
const BUILD_ID_SECTION: &str = ".note.gnu.build-id";

/// The GNU build id: where it is in the image, and its bytes.
fn build_id(file: &ElfFile64<'_, Endianness>) -> Option<(u64, Vec<u8>)> {
    let id = file.build_id().ok()??.to_vec();
    let note = section_data(file, BUILD_ID_SECTION)?;
    // An empty one tells no library from another.
    let last = note.bytes.len().checked_sub(id.len()).filter(|_| !id.is_empty())?;
    let inside = (0..=last).find(|start| note.bytes[*start..].starts_with(&id))?;
    Some((note.address.checked_add(inside as u64)?, id))
}

/// The kind of error that reading a file gives.
pub(crate) fn file_error(
    action: &'static str,
    path: &Path,
    error: std::io::Error,
) -> LoadErrorKind {
    LoadErrorKind::File { action, path: path.to_owned(), error: Arc::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        verify(Path::new("x.so"), bytes).expect_err("no library").to_string()
    }

    #[test]
    fn what_is_no_library_is_refused_by_name() {
        assert_eq!(refusal(b""), "x.so is not a whole library: the file is empty");
        assert!(refusal(b"hello").contains("does not begin like an ELF file"));
        assert!(refusal(b"\x7fELF\x02\x01\x01").contains("ends inside its header"));
    }

    #[test]
    fn another_architecture_is_named() {
        let mut header = vec![0; 64];
        header[..4].copy_from_slice(&elf::ELFMAG);
        header[4] = elf::ELFCLASS64;
        header[5] = elf::ELFDATA2LSB;
        header[18] = elf::EM_RISCV as u8;
        let text = refusal(&header);
        assert!(text.contains("built for riscv64 64-bit"), "{text}");
        assert!(
            text.contains(&format!("this host is {} 64-bit", std::env::consts::ARCH)),
            "{text}"
        );
    }
}
