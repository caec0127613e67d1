//! The record of an export: plain inline data in a link section of its own.
//!
//! It is read twice. Before a library is loaded its bytes are read out of the
//! object file, where every pointer is an unresolved relocation: so names and texts
//! are inline. Afterwards the same bytes are read in memory, where the pointers
//! are good.

use std::mem::offset_of;
use std::time::Duration;

use crate::shim::Shim;
use crate::signature::Signature;

/// The `extra` of a migration's step: from and to which version.
#[must_use]
pub const fn step_extra(from: u16, to: u16) -> u32 {
    (from as u32) << 16 | to as u32
}

/// The versions in the `extra` of a step: from and to.
#[must_use]
pub const fn step_versions(extra: u32) -> (u16, u16) {
    ((extra >> 16) as u16, extra as u16)
}

/// The link section that holds the records; a C identifier, so that linkers
/// define `__start_` and `__stop_` symbols for it.
macro_rules! section {
    () => {
        "hotswap_exports"
    };
}

/// Names of link sections.
pub mod section {
    /// Where the records of exports are.
    pub const EXPORTS: &str = section!();
    /// Where the root record is.
    pub const ROOT: &str = "hotswap_root";
}

const MAGIC: u64 = u64::from_le_bytes(*b"HOTSWAP\x01");

/// What a record announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A function or constant that the host may call.
    Export = 1,
    /// A function that the module wants from its host; without signature when only
    /// the name is known.
    Need = 2,
    /// A function that runs once when a version was loaded, before it may become current.
    OnLoad = 3,
    /// A function that runs when a version became current.
    AfterSwap = 4,
    /// A function that runs when a version is about to go.
    BeforeUnload = 5,
    /// A state type. The name is its schema, the result of the signature its layout, `extra` its version.
    State = 6,
    /// A step of a migration. The name is the schema, `extra` says from and to which version, the argument of the
    /// signature is the old layout and its result the new one; a derived step has no argument.
    Step = 7,
    /// The way back of a derived step, from the new type to one whose fields are all among its own. `extra` says from and to
    /// which version, the argument of the signature is the new layout, and its result the same with the names that fields had.
    StepBack = 8,
}

/// Everything before the inline texts.
#[repr(C, align(8))]
struct Header {
    magic: u64,
    total: u32,
    kind: u32,
    name_length: u32,
    signature_length: u32,
    owner_length: u32,
    extra: u32,
    hash: u64,
    shim: Option<Shim>,
    signature: Option<&'static Signature>,
}

/// One record, with room for its texts: `N` bytes of name, `S` of signature, `O`
/// of the path of the module that wrote it.
#[repr(C, align(8))]
pub struct Record<const N: usize, const S: usize, const O: usize> {
    header: Header,
    name: [u8; N],
    signature: [u8; S],
    owner: [u8; O],
}

impl<const N: usize, const S: usize, const O: usize> std::fmt::Debug for Record<N, S, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").finish_non_exhaustive()
    }
}

impl<const N: usize, const S: usize, const O: usize> Record<N, S, O> {
    /// The record of an export, or of something needed, whose signature is known.
    ///
    /// # Panics
    ///
    /// At compile time, when the lengths are not those of the texts.
    #[must_use]
    pub const fn new(
        kind: Kind,
        name: &str,
        signature: &'static Signature,
        owner: &str,
        shim: Option<Shim>,
    ) -> Self {
        Self {
            header: Self::header(kind, signature.hash(), shim, Some(signature)),
            name: inline(name),
            signature: signature.text_bytes(),
            owner: inline(owner),
        }
    }

    /// The same with the number that its kind gives a meaning.
    #[must_use]
    pub const fn with_extra(mut self, extra: u32) -> Self {
        self.header.extra = extra;
        self
    }

    /// The record of something needed of which only the name is known.
    ///
    /// # Panics
    ///
    /// At compile time, when the lengths are not those of the texts.
    #[must_use]
    pub const fn named(kind: Kind, name: &str, owner: &str) -> Self {
        Self {
            header: Self::header(kind, 0, None, None),
            name: inline(name),
            signature: [0; S],
            owner: inline(owner),
        }
    }

    const fn header(
        kind: Kind,
        hash: u64,
        shim: Option<Shim>,
        signature: Option<&'static Signature>,
    ) -> Header {
        Header {
            magic: MAGIC,
            total: size_of::<Self>() as u32,
            kind: kind as u32,
            name_length: N as u32,
            signature_length: S as u32,
            owner_length: O as u32,
            extra: 0,
            hash,
            shim,
            signature,
        }
    }
}

const fn inline<const N: usize>(text: &str) -> [u8; N] {
    assert!(text.len() == N, "the record has room for exactly its text");
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = text.as_bytes()[index];
        index += 1;
    }
    bytes
}

/// One export or need, read from a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What the record announces.
    pub kind: Kind,
    /// The name to call it by.
    pub name: String,
    /// The text of the signature; empty when only the name is known.
    pub signature: String,
    /// The hash of that text.
    pub hash: u64,
    /// A number that the kind gives a meaning: of an export how many milliseconds a call may take, or 0.
    pub extra: u32,
    /// The module path that wrote the record; its first segment is the crate.
    pub owner: String,
    /// Where the record begins, in bytes from the start of the section.
    pub offset: usize,
}

impl Exported {
    /// How long a call of this export may take before that is told.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let is_declared = self.kind == Kind::Export && self.extra > 0;
        is_declared.then(|| Duration::from_millis(self.extra.into()))
    }

    /// The crate that wrote the record.
    #[must_use]
    pub fn crate_name(&self) -> &str {
        self.owner.split("::").next().unwrap_or(&self.owner)
    }
}

/// The section does not hold what our macros write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedRecord {
    /// Where, in bytes from the start of the section.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl std::fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed export record at byte {}: {}", self.offset, self.reason)
    }
}

impl std::error::Error for MalformedRecord {}

/// The records of one section, as bytes: nothing in them is trusted.
#[derive(Debug)]
pub struct Table;

impl Table {
    /// Reads all records of a section. Pointers are not looked at.
    ///
    /// # Errors
    ///
    /// When the bytes are not a sequence of whole records.
    pub fn read(bytes: &[u8]) -> Result<Vec<Exported>, MalformedRecord> {
        let mut found = Vec::new();
        let mut offset = 0;
        while offset < bytes.len() {
            // Linkers may pad between records: eight-byte steps of zero.
            if bytes.len() - offset >= 8 && bytes[offset..offset + 8] == [0; 8] {
                offset += 8;
                continue;
            }
            let (record, total) = read_one(&bytes[offset..], offset)?;
            found.push(record);
            offset += total;
        }
        Ok(found)
    }

    /// The two pointers of a record in memory: its shim and its signature.
    ///
    /// # Safety
    ///
    /// 1. `section` is the start of a section of a loaded, relocated image, and
    ///    `offset` comes from [`Table::read`] of that section.
    /// 2. The image stays mapped as long as the results are used.
    #[must_use]
    pub unsafe fn pointers(
        section: *const u8,
        offset: usize,
    ) -> (Option<Shim>, Option<&'static Signature>) {
        // SAFETY: 1 of the contract: a whole record lies there.
        let record = unsafe { section.add(offset) };
        // SAFETY: as above; records are aligned to 8 by their type, like `Header`.
        let header = unsafe { &*record.cast::<Header>() };
        (header.shim, header.signature)
    }
}

fn read_one(bytes: &[u8], offset: usize) -> Result<(Exported, usize), MalformedRecord> {
    let malformed = |reason| MalformedRecord { offset, reason };
    if bytes.len() < size_of::<Header>() {
        return Err(malformed("cut off inside its header"));
    }
    if u64_at(bytes, offset_of!(Header, magic)) != MAGIC {
        return Err(malformed("it does not begin with the magic number"));
    }
    let total = length_at(bytes, offset_of!(Header, total));
    let name_length = length_at(bytes, offset_of!(Header, name_length));
    let signature_length = length_at(bytes, offset_of!(Header, signature_length));
    let owner_length = length_at(bytes, offset_of!(Header, owner_length));
    let texts = name_length
        .checked_add(signature_length)
        .and_then(|sum| sum.checked_add(owner_length))
        .and_then(|sum| sum.checked_add(size_of::<Header>()))
        .ok_or(malformed("its lengths overflow"))?;
    if total < texts || total > bytes.len() || !total.is_multiple_of(align_of::<Header>()) {
        return Err(malformed("its length does not fit its texts or the section"));
    }
    let kind = match length_at(bytes, offset_of!(Header, kind)) {
        1 => Kind::Export,
        2 => Kind::Need,
        3 => Kind::OnLoad,
        4 => Kind::AfterSwap,
        5 => Kind::BeforeUnload,
        6 => Kind::State,
        7 => Kind::Step,
        8 => Kind::StepBack,
        _ => return Err(malformed("its kind is unknown")),
    };
    let mut start = size_of::<Header>();
    let mut text = |length: usize| {
        let range = start..start + length;
        start += length;
        std::str::from_utf8(&bytes[range])
            .map(str::to_owned)
            .map_err(|_| malformed("its text is not UTF-8"))
    };
    let record = Exported {
        kind,
        name: text(name_length)?,
        signature: text(signature_length)?,
        owner: text(owner_length)?,
        hash: u64_at(bytes, offset_of!(Header, hash)),
        extra: length_at(bytes, offset_of!(Header, extra)) as u32,
        offset,
    };
    Ok((record, total))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_ne_bytes(number)
}

fn length_at(bytes: &[u8], offset: usize) -> usize {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_ne_bytes(number) as usize
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::properties::config;
    use crate::signature::Typed;

    type Sum = Typed<(u64, u64), u64>;
    static RECORD: Record<3, { Sum::SIGNATURE.text_length() }, 4> =
        Record::new(Kind::Export, "add", Sum::REFERENCE, "game", None);

    fn bytes() -> Vec<u8> {
        let start = (&raw const RECORD).cast::<u8>();
        // SAFETY: the record is plain data of this size; padding was zeroed by `static` initialisation.
        let bytes = unsafe { std::slice::from_raw_parts(start, size_of_val(&RECORD)) };
        bytes.to_vec()
    }

    #[test]
    fn a_record_reads_back() {
        let found = Table::read(&bytes()).expect("well-formed");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "add");
        assert_eq!(found[0].signature, "(u64#8/8,u64#8/8)->u64#8/8");
        assert_eq!(found[0].hash, Sum::HASH);
        assert_eq!(found[0].crate_name(), "game");
    }

    #[test]
    fn every_cut_is_refused() {
        let whole = bytes();
        for length in 1..whole.len() {
            Table::read(&whole[..length]).expect_err("a cut record");
        }
    }

    #[test]
    fn every_changed_length_is_refused_or_read_without_panic() {
        for index in 8..32 {
            for value in [0x00, 0x01, 0x7f, 0xff] {
                let mut changed = bytes();
                changed[index] = value;
                let _ = Table::read(&changed);
            }
        }
    }

    /// What lies in a section for a record, padded to the eight bytes of its alignment.
    fn written(record: &Exported) -> Vec<u8> {
        let texts = [&record.name, &record.signature, &record.owner];
        let length: usize =
            size_of::<Header>() + texts.iter().map(|text| text.len()).sum::<usize>();
        let total = length.next_multiple_of(align_of::<Header>());
        let mut bytes = vec![0; total];
        let mut put = |place: usize, value: &[u8]| {
            bytes[place..place + value.len()].copy_from_slice(value);
        };
        put(offset_of!(Header, magic), &MAGIC.to_ne_bytes());
        put(offset_of!(Header, hash), &record.hash.to_ne_bytes());
        let numbers = [
            (offset_of!(Header, total), total),
            (offset_of!(Header, kind), record.kind as usize),
            (offset_of!(Header, extra), record.extra as usize),
            (offset_of!(Header, name_length), record.name.len()),
            (offset_of!(Header, signature_length), record.signature.len()),
            (offset_of!(Header, owner_length), record.owner.len()),
        ];
        for (place, number) in numbers {
            put(place, &(number as u32).to_ne_bytes());
        }
        let mut place = size_of::<Header>();
        for text in texts {
            put(place, text.as_bytes());
            place += text.len();
        }
        bytes
    }

    fn record() -> impl Strategy<Value = Exported> {
        let kind = prop::sample::select(vec![
            Kind::Export,
            Kind::Need,
            Kind::OnLoad,
            Kind::AfterSwap,
            Kind::BeforeUnload,
            Kind::State,
            Kind::Step,
            Kind::StepBack,
        ]);
        (kind, ".{0,9}", ".{0,30}", ".{0,9}", any::<u64>(), any::<u32>()).prop_map(
            |(kind, name, signature, owner, hash, extra)| Exported {
                kind,
                extra,
                name,
                signature,
                hash,
                owner,
                offset: 0,
            },
        )
    }

    /// Records one after the other, with the padding that linkers leave between them; and where each begins.
    fn section(records: &mut [Exported], paddings: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (record, padding) in records.iter_mut().zip(paddings) {
            record.offset = bytes.len();
            bytes.extend_from_slice(&written(record));
            bytes.resize(bytes.len() + 8 * padding, 0);
        }
        bytes
    }

    proptest! {
        #![proptest_config(config(1_000))]

        #[test]
        fn what_is_written_reads_back(
            mut records in vec(record(), 0..5),
            paddings in vec(0..3_usize, 5),
        ) {
            let bytes = section(&mut records, &paddings);
            prop_assert_eq!(Table::read(&bytes), Ok(records));
        }

        /// Any bytes may have changed; what is still read lies in the section, one behind the other.
        #[test]
        fn what_is_damaged_is_refused_or_lies_inside(
            mut records in vec(record(), 1..4),
            damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = section(&mut records, &[1; 4]);
            for (place, value) in damages {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            bytes.truncate(bytes.len() - end.index(bytes.len()) / 2);
            if let Ok(found) = Table::read(&bytes) {
                let mut free = 0;
                for record in found {
                    prop_assert!(free <= record.offset && record.offset.is_multiple_of(8));
                    free = record.offset + written(&record).len();
                    prop_assert!(free <= bytes.len());
                }
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(
            mut bytes in vec(any::<u8>(), 0..200),
            has_magic in any::<bool>(),
        ) {
            if has_magic && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&MAGIC.to_ne_bytes());
            }
            match Table::read(&bytes) {
                Ok(records) => prop_assert!(records.len() <= bytes.len() / size_of::<Header>()),
                Err(error) => prop_assert!(error.offset < bytes.len()),
            }
        }
    }
}
