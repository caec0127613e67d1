//! The functions of one version, by name and by place.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;

use crate::export::Export;

/// Each version's functions get numbers that no other's have: the upper half of a [`Ticket`].
static GENERATION: AtomicU64 = AtomicU64::new(1);

/// Names one function of one version; of any other version it names nothing. Zero names nothing at all.
pub(crate) type Ticket = u64;

/// The functions of one version.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Exports {
    /// The ticket of the first, if they were loaded; otherwise one that is never given out.
    first: Ticket,
    list: Vec<Named>,
    names: Names,
    /// The same of linked functions, which are called in another way.
    first_linked: Ticket,
    is_linked: bool,
}

#[derive(Debug)]
struct Named {
    export: Export,
    name: Box<str>,
}

impl Exports {
    /// No functions of a loaded module.
    pub(crate) fn loaded() -> Self {
        Self {
            first: generation(),
            list: Vec::new(),
            names: Names::default(),
            first_linked: generation(),
            is_linked: false,
        }
    }

    /// No functions of a linked module.
    pub(crate) fn linked() -> Self {
        Self { is_linked: true, ..Self::loaded() }
    }

    /// Adds a function; `false` when there is one of this name.
    pub(crate) fn add(&mut self, name: &str, export: Export) -> bool {
        let index = u32::try_from(self.list.len()).expect("a file has fewer records");
        if self.get(name).is_some() {
            return false;
        }
        self.list.push(Named { export, name: name.into() });
        self.names.add(hash(name), index);
        true
    }

    /// The function of this name.
    // Not inlined: what it needs of registers would be saved around every call.
    #[inline(never)]
    pub(crate) fn get(&self, name: &str) -> Option<&Export> {
        let named = |index: usize| self.list.get(index);
        let is_it = |named: &&Named| equal(named.name.as_bytes(), name.as_bytes());
        self.names.candidates(hash(name)).filter_map(named).find(is_it).map(|named| &named.export)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|named| *named.name == *name)
    }

    /// The function that a ticket of this version names, if it was loaded.
    #[inline(always)]
    pub(crate) fn at(&self, ticket: Ticket) -> Option<&Export> {
        // One comparison: tickets of other versions are out of bounds.
        self.list.get(ticket.wrapping_sub(self.first) as usize).map(|named| &named.export)
    }

    /// The function that a ticket of this version names, if it is linked.
    #[inline]
    pub(crate) fn at_linked(&self, ticket: Ticket) -> Option<&Export> {
        self.list.get(ticket.wrapping_sub(self.first_linked) as usize).map(|named| &named.export)
    }

    /// What names the function from now on, without its name.
    pub(crate) fn ticket(&self, name: &str) -> Option<Ticket> {
        let first = if self.is_linked { self.first_linked } else { self.first };
        Some(first + self.index(name)? as Ticket)
    }

    /// All of them, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Export)> {
        self.list.iter().map(|named| (&*named.name, &named.export))
    }
}

/// Tickets that no other version has.
fn generation() -> Ticket {
    // Relaxed: only uniqueness matters.
    GENERATION.fetch_add(1, Ordering::Relaxed) << 32
}

/// Where functions stand in the list, by the hash of their name: open addressing, at most half full, never removed
/// from. The standard library's table finds a short name among a few in twice as many instructions (*source*:
/// `benches/benches/call.rs`): it is made for tables that grow and shrink.
#[derive(Debug, Default)]
struct Names {
    /// The upper half of a hash, and 1 + the index; 0 where nothing is. The length is a power of two.
    table: Vec<u64>,
    count: usize,
}

impl Names {
    fn add(&mut self, hash: u64, index: u32) {
        if self.table.len() < 2 * (self.count + 1) {
            let full = std::mem::take(&mut self.table);
            self.table = vec![0; (2 * full.len()).max(8)];
            for entry in full.into_iter().filter(|entry| *entry != 0) {
                self.put(entry);
            }
        }
        self.put(hash & UPPER | (u64::from(index) + 1));
        self.count += 1;
    }

    fn put(&mut self, entry: u64) {
        let mask = self.table.len() - 1;
        let mut place = home(entry) & mask;
        while self.table[place] != 0 {
            place = (place + 1) & mask;
        }
        self.table[place] = entry;
    }

    /// The indices of names with this hash, and of few others.
    #[inline]
    fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.table.len().wrapping_sub(1);
        let mut place = home(hash);
        std::iter::from_fn(move || {
            loop {
                let entry = *self.table.get(place & mask)?;
                place = (place & mask) + 1;
                if entry == 0 {
                    return None;
                }
                if (entry ^ hash) & UPPER == 0 {
                    return Some((entry as u32 - 1) as usize);
                }
            }
        })
    }
}

const UPPER: u64 = 0xffff_ffff_0000_0000;

/// Where the search begins: by what an entry keeps of its hash.
#[inline(always)]
fn home(hash: u64) -> usize {
    (hash >> 32) as usize
}

/// Whether two names are the same: short ones without a call.
#[inline]
fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match (ends::<8>(left), ends::<8>(right)) {
        (Some(left), Some(right)) if left.2 <= 16 => left == right,
        (Some(_), Some(_)) => left == right,
        _ => match (ends::<4>(left), ends::<4>(right)) {
            (Some(left), Some(right)) => left == right,
            _ => left.iter().zip(right).all(|(left, right)| left == right),
        },
    }
}

/// The first and the last bytes, which overlap where there are few, and how many there are in all.
#[inline(always)]
fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N], usize)> {
    Some((bytes.first_chunk::<N>()?, bytes.last_chunk::<N>()?, bytes.len()))
}

/// Over the bytes alone: what `str` adds for its end is not needed where the whole name is compared.
#[inline]
fn hash(name: &str) -> u64 {
    const STATE: FixedState = FixedState::with_seed(0);
    let mut hasher = STATE.build_hasher();
    hasher.write(name.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use hotswap_module::Signature;

    use super::*;

    unsafe extern "C" fn nothing(_: *mut u8, _: *mut u8) -> u32 {
        0
    }

    fn export(hash: u64) -> Export {
        static SIGNATURE: Signature =
            Signature { arguments: &[], result: <() as hotswap_module::Abi>::DESC };
        Export { shim: nothing, hash, signature: &SIGNATURE }
    }

    #[test]
    fn names_are_equal_only_when_every_byte_is() {
        for length in 0..40 {
            let name: Vec<u8> = (0..length).map(|number| b'a' + number % 26).collect();
            assert!(equal(&name, &name.clone()));
            assert!(!equal(&name, &[&name[..], b"x"].concat()));
            for place in 0..name.len() {
                let mut other = name.clone();
                other[place] ^= 1;
                assert!(!equal(&name, &other), "{length} {place}");
            }
        }
    }

    #[test]
    fn names_are_found_among_many() {
        let mut exports = Exports::loaded();
        for number in 0..1_000u64 {
            assert!(exports.get(&format!("f{number}")).is_none());
            assert!(exports.add(&format!("f{number}"), export(number)));
        }
        for number in 0..1_000 {
            let found = exports.get(&format!("f{number}")).map(|export| export.hash);
            assert_eq!(found, Some(number));
        }
        assert!(exports.get("").is_none() && exports.get("f1000").is_none());
        assert!(Exports::loaded().get("f1").is_none());
    }

    #[test]
    fn a_ticket_names_one_function_of_one_version() {
        let (mut one, mut two) = (Exports::loaded(), Exports::loaded());
        for exports in [&mut one, &mut two] {
            assert!(exports.add("a", export(1)));
            assert!(exports.add("b", export(2)));
            assert!(!exports.add("a", export(3)));
        }
        let ticket = one.ticket("b").expect("it is there");
        assert_eq!(one.at(ticket).map(|export| export.hash), Some(2));
        assert!(two.at(ticket).is_none());
        assert!(one.at(ticket + 1).is_none());
        for nothing in [0, 1, 2, Ticket::MAX, Ticket::MAX - 1] {
            assert!(one.at(nothing).is_none() && one.at_linked(nothing).is_none(), "{nothing}");
        }
        assert_eq!((one.get("a").map(|export| export.hash), one.iter().count()), (Some(1), 2));
        assert_eq!(one.ticket("c"), None);
        let mut linked = Exports::linked();
        assert!(linked.add("a", export(7)));
        let ticket = linked.ticket("a").expect("it is there");
        assert!(linked.at(ticket).is_none() && one.at_linked(ticket).is_none());
        assert_eq!(linked.at_linked(ticket).map(|export| export.hash), Some(7));
        for nothing in [0, 1, Ticket::MAX] {
            assert!(linked.at(nothing).is_none() && linked.at_linked(nothing).is_none());
        }
    }
}
