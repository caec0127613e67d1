//! The functions of one version, by name and by place.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;
use hotswap_module::{Abi, Argument, Signature};

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
    /// 1 + the place in the list, by name; 0 where nothing is. Open addressing, at most half full, never removed from; the
    /// length is a power of two, or 0. The standard library's table finds a short name among a few in three times as
    /// many instructions (*source*: `benches/src/bin/instructions.rs`): it is made for tables that grow and shrink.
    by_name: Vec<u32>,
    /// The same of linked functions, which are called in another way.
    first_linked: Ticket,
    is_linked: bool,
    /// Those whose calls have a deadline. Their place in the list is taken by what no caller agrees with, so that the quick ways
    /// need not know of deadlines.
    timed: Vec<Timed>,
}

/// A function whose calls have a deadline.
#[derive(Debug)]
struct Timed {
    place: usize,
    export: Export,
    deadline: Duration,
    name: Arc<str>,
}

/// A function, as the module has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) export: &'a Export,
    pub(crate) deadline: Option<Duration>,
}

/// What no caller agrees with: a call without a signature takes no arguments; one with another signature has another text, and
/// one with this very signature has another hash. That it enters by name has the texts compared.
static NOBODYS: Signature =
    Signature { arguments: &[<u64 as Argument>::DESC], result: <() as Abi>::DESC };
const NOBODYS_HASH: u64 = !NOBODYS.hash() | 1;

#[derive(Debug)]
struct Named {
    export: Export,
    key: Key,
    name: Box<str>,
}

impl Exports {
    /// No functions of a loaded module.
    pub(crate) fn loaded() -> Self {
        Self {
            first: generation(),
            list: Vec::new(),
            by_name: Vec::new(),
            first_linked: generation(),
            is_linked: false,
            timed: Vec::new(),
        }
    }

    /// No functions of a linked module.
    pub(crate) fn linked() -> Self {
        Self { is_linked: true, ..Self::loaded() }
    }

    /// Adds a function; `false` when there is one of this name.
    pub(crate) fn add(&mut self, name: &str, export: Export) -> bool {
        if self.index(name).is_some() {
            return false;
        }
        self.list.push(Named { export, key: Key::of(name), name: name.into() });
        if self.by_name.len() < 2 * self.list.len() {
            self.by_name = vec![0; (2 * self.by_name.len()).max(8)];
            (0..self.list.len()).for_each(|place| self.enter(place));
        } else {
            self.enter(self.list.len() - 1);
        }
        true
    }

    fn enter(&mut self, place: usize) {
        let mask = self.by_name.len() - 1;
        let mut home = self.list[place].key.home() & mask;
        while self.by_name[home] != 0 {
            home = (home + 1) & mask;
        }
        self.by_name[home] = u32::try_from(place + 1).expect("a file has fewer records");
    }

    /// Gives the calls of a function a deadline, another one, or none. Before anybody calls it.
    pub(crate) fn set_deadline(&mut self, name: &str, deadline: Option<Duration>) {
        let Some(place) = self.index(name) else { return };
        let at = self.timed.iter().position(|timed| timed.place == place);
        match (at, deadline) {
            (None, None) => {}
            (Some(at), Some(deadline)) => self.timed[at].deadline = deadline,
            (Some(at), None) => self.list[place].export = self.timed.swap_remove(at).export,
            (None, Some(deadline)) => {
                let export = self.list[place].export;
                self.list[place].export =
                    Export { hash: NOBODYS_HASH, signature: &NOBODYS, ..export };
                self.timed.push(Timed { place, export, deadline, name: name.into() });
            }
        }
    }

    /// The function of this name, whether or not it has a deadline. For who has time.
    pub(crate) fn find(&self, name: &str) -> Option<Found<'_>> {
        self.index(name).map(|place| self.found(place))
    }

    /// The name of a function, to be kept.
    pub(crate) fn kept_name(&self, name: &str) -> Arc<str> {
        let timed = self.timed.iter().find(|timed| *timed.name == *name);
        timed.map_or_else(|| name.into(), |timed| Arc::clone(&timed.name))
    }

    fn found(&self, place: usize) -> Found<'_> {
        match self.timed.iter().find(|timed| timed.place == place) {
            Some(timed) => Found { export: &timed.export, deadline: Some(timed.deadline) },
            None => Found { export: &self.list[place].export, deadline: None },
        }
    }

    /// The function of this name, for a call; of one with a deadline what no caller agrees with.
    // Inlined to the caller's literal, which is then compared as a number that the compiler knows.
    #[inline(always)]
    pub(crate) fn get(&self, name: &str) -> Option<&Export> {
        let key = Key::of(name);
        let mask = self.by_name.len().wrapping_sub(1);
        let mut home = key.home();
        loop {
            // Nothing when the table is empty; and what is empty stands beyond the end of the list.
            let place = self.by_name.get(home & mask)?.wrapping_sub(1);
            let named = self.list.get(place as usize)?;
            if named.key == key && (key.is_whole() || *named.name == *name) {
                return Some(&named.export);
            }
            home = (home & mask) + 1;
        }
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

    /// What names the function from now on, without its name. Nothing names one with a deadline.
    pub(crate) fn ticket(&self, name: &str) -> Option<Ticket> {
        let first = if self.is_linked { self.first_linked } else { self.first };
        let place = self.index(name)?;
        let is_timed = self.timed.iter().any(|timed| timed.place == place);
        (!is_timed).then_some(first + place as Ticket)
    }

    /// All of them, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Found<'_>)> {
        self.list.iter().enumerate().map(|(place, named)| (&*named.name, self.found(place)))
    }
}

/// Tickets that no other version has.
fn generation() -> Ticket {
    // Relaxed: only uniqueness matters.
    GENERATION.fetch_add(1, Ordering::Relaxed) << 32
}

/// A name as numbers: of up to 16 bytes all of it, of a longer one as much as tells most of them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    first: u64,
    last: u64,
    length: usize,
}

impl Key {
    /// The longest name that two numbers hold.
    const WHOLE_BYTES_MAX: usize = 16;

    #[inline(always)]
    fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let length = bytes.len();
        // The first and the last bytes overlap where there are few: with the length, they are the name.
        let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
            _ if length > Self::WHOLE_BYTES_MAX => (hash(bytes), 0),
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (bytes.first_chunk(), bytes.last_chunk()) {
                (Some(first), Some(last)) => {
                    (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
                }
                _ => match *bytes {
                    [first, .., last] => {
                        (first.into(), u16::from_le_bytes([bytes[length / 2], last]).into())
                    }
                    [only] => (only.into(), 0),
                    [] => (0, 0),
                },
            },
        };
        Self { first, last, length }
    }

    /// Whether it is the whole name.
    #[inline(always)]
    fn is_whole(self) -> bool {
        self.length <= Self::WHOLE_BYTES_MAX
    }

    /// Where the search begins: a multiplication that puts every bit of both numbers into the lower ones.
    #[inline(always)]
    fn home(self) -> usize {
        // Digits of pi, so that no number is zero.
        const ONE: u64 = 0x243f_6a88_85a3_08d3;
        const OTHER: u64 = 0x1319_8a2e_0370_7344;
        let left = u128::from(self.first ^ ONE);
        let product = left * u128::from(self.last.rotate_left(32) ^ self.length as u64 ^ OTHER);
        (product >> 64) as usize ^ product as usize
    }
}

/// Over all bytes of a long name.
#[cold]
#[inline(never)]
fn hash(name: &[u8]) -> u64 {
    const STATE: FixedState = FixedState::with_seed(0);
    let mut hasher = STATE.build_hasher();
    hasher.write(name);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    unsafe extern "C" fn nothing(_: *mut u8, _: *mut u8) -> u32 {
        0
    }

    fn export(hash: u64) -> Export {
        static SIGNATURE: Signature = Signature { arguments: &[], result: <() as Abi>::DESC };
        Export { shim: nothing, hash, signature: &SIGNATURE }
    }

    #[test]
    fn names_are_equal_only_when_every_byte_is() {
        for length in 0..40 {
            let name: String = (0..length).map(|number| char::from(b'a' + number % 26)).collect();
            let mut exports = Exports::loaded();
            assert!(exports.add(&name, export(1)));
            assert!(exports.get(&name).is_some());
            assert!(exports.get(&format!("{name}x")).is_none());
            for place in 0..name.len() {
                let mut other = name.clone().into_bytes();
                other[place] ^= 1;
                let other = String::from_utf8(other).expect("a letter next to one");
                assert!(exports.get(&other).is_none(), "{name} {other}");
                assert!(Key::of(&name) != Key::of(&other) || !Key::of(&name).is_whole());
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
        // A table in which names crowd is one that takes long.
        let mask = exports.by_name.len() - 1;
        let furthest = (0..).zip(&exports.by_name).filter(|(_, place)| **place != 0).map(
            |(home, place): (usize, _)| {
                home.wrapping_sub(exports.list[*place as usize - 1].key.home()) & mask
            },
        );
        assert!(furthest.max() < Some(32));
        assert!(Exports::loaded().get("f1").is_none());
    }

    #[test]
    fn nobody_agrees_with_what_stands_for_a_function_with_a_deadline() {
        let second = Duration::from_secs(1);
        let mut exports = Exports::loaded();
        assert!(exports.add("plain", export(1)) && exports.add("timed", export(2)));
        exports.set_deadline("timed", Some(2 * second));
        exports.set_deadline("timed", Some(second));
        exports.set_deadline("absent", Some(second));
        let stand_in = *exports.get("timed").expect("it stands there");
        let agrees = |wanted| check::agrees(wanted, stand_in.signature, stand_in.hash);
        static NOTHING: Signature = Signature { arguments: &[], result: <() as Abi>::DESC };
        assert!(!agrees(None) && !agrees(Some((&NOTHING, 2))));
        assert!(!agrees(Some((&NOTHING, NOBODYS_HASH))), "equal hashes, and another text");
        assert!(!agrees(Some((&NOBODYS, NOBODYS.hash()))), "an equal text, and another hash");
        assert_ne!(NOBODYS.hash(), NOBODYS_HASH);
        let found = exports.find("timed").expect("it is there");
        assert_eq!((found.export.hash, found.deadline), (2, Some(second)));
        assert_eq!(exports.ticket("timed"), None);
        assert!(exports.ticket("plain").is_some());
        assert_eq!(exports.find("plain").map(|found| found.deadline), Some(None));
        exports.set_deadline("timed", None);
        assert_eq!(exports.get("timed").map(|export| export.hash), Some(2));
        assert!(exports.ticket("timed").is_some());
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
