//! The handshake: the one symbol of a module, looked at before anything else.

use crate::abi::Abi;
use crate::describe::Sink;
use crate::error::CallError;
use crate::interface::Requirement;
use crate::services::Services;

/// The functions of each interface that a module wants from its host.
pub type Needs = &'static [&'static [Requirement]];

/// The number of this boundary. It changes whenever a record, a service or the
/// meaning of one changes; host and module must have the same.
pub const ABI_NUMBER: u32 = 5;

/// The compiler that built this crate, as `rustc -vV` names it.
pub const RUSTC: &str = env!("HOTSWAP_RUSTC");

/// The target that this crate was built for.
pub const TARGET: &str = env!("HOTSWAP_TARGET");

/// Room for a text in the root record.
const TEXT_BYTES: usize = 96;

/// What a module says of itself. Inline data except for its functions, so that it
/// can be read out of the object file.
#[repr(C, align(8))]
#[derive(Debug)]
pub struct Root {
    magic: u64,
    size: u32,
    abi_number: u32,
    unwinds: u32,
    debug_assertions: u32,
    services_hash: u64,
    rustc: [u8; TEXT_BYTES],
    target: [u8; TEXT_BYTES],
    name: [u8; TEXT_BYTES],
    start: unsafe extern "C" fn(*const Services) -> u32,
    stop: extern "C" fn(),
    needs: fn() -> Needs,
}

/// The root record as read from bytes: nothing in it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootFacts {
    /// The number of the boundary it was built for.
    pub abi_number: u32,
    /// Whether panics unwind in it.
    pub unwinds: bool,
    /// Whether it was built with debug assertions.
    pub debug_assertions: bool,
    /// Hash over the layout of the services and of the error type.
    pub services_hash: u64,
    /// The compiler that built it.
    pub rustc: String,
    /// The target it was built for.
    pub target: String,
    /// The crate's name.
    pub name: String,
}

const MAGIC: u64 = u64::from_le_bytes(*b"HOTSROOT");

/// Of everything that crosses besides the exports: changes with the shape of the services.
const SERVICES_HASH: u64 = {
    let mut sink = Sink::<0>::new();
    sink.desc(<Result<(), CallError> as Abi>::DESC);
    sink.byte(size_of::<Services>() as u8);
    sink.hash
};

impl Root {
    /// The name of the symbol.
    pub const SYMBOL: &'static str = "HOTSWAP_ROOT";

    /// The record of the crate whose `module_path!()` is given.
    #[must_use]
    pub const fn new(
        path: &str,
        unwinds: bool,
        start: unsafe extern "C" fn(*const Services) -> u32,
        stop: extern "C" fn(),
        needs: fn() -> Needs,
    ) -> Self {
        Self {
            magic: MAGIC,
            size: size_of::<Self>() as u32,
            abi_number: ABI_NUMBER,
            unwinds: unwinds as u32,
            debug_assertions: cfg!(debug_assertions) as u32,
            services_hash: SERVICES_HASH,
            rustc: padded(RUSTC),
            target: padded(TARGET),
            name: padded(path),
            start,
            stop,
            needs,
        }
    }

    /// What this host's own modules would say.
    #[must_use]
    pub fn expected() -> RootFacts {
        RootFacts {
            abi_number: ABI_NUMBER,
            unwinds: true,
            debug_assertions: cfg!(debug_assertions),
            services_hash: SERVICES_HASH,
            rustc: RUSTC.to_owned(),
            target: TARGET.to_owned(),
            name: String::new(),
        }
    }

    /// Reads a root record out of bytes.
    ///
    /// The number of the boundary comes first: where it differs from ours, only
    /// that is known and the rest is left empty.
    ///
    /// # Errors
    ///
    /// Says what is wrong when the bytes are no root record.
    pub fn read(bytes: &[u8]) -> Result<RootFacts, &'static str> {
        let number = |offset: usize| {
            let mut value = [0; 4];
            value.copy_from_slice(&bytes[offset..offset + 4]);
            u32::from_ne_bytes(value)
        };
        let long =
            |offset: usize| u64::from(number(offset)) | (u64::from(number(offset + 4)) << 32);
        if bytes.len() < 16 {
            return Err("it is cut off");
        }
        if long(std::mem::offset_of!(Self, magic)) != MAGIC {
            return Err("it does not begin with the magic number");
        }
        let abi_number = number(std::mem::offset_of!(Self, abi_number));
        let mut facts = RootFacts {
            abi_number,
            unwinds: true,
            debug_assertions: false,
            services_hash: 0,
            rustc: String::new(),
            target: String::new(),
            name: String::new(),
        };
        if abi_number != ABI_NUMBER {
            return Ok(facts);
        }
        if bytes.len() < size_of::<Self>()
            || number(std::mem::offset_of!(Self, size)) as usize != size_of::<Self>()
        {
            return Err("its length is not that of this boundary");
        }
        let text = |offset: usize| unpadded(&bytes[offset..offset + TEXT_BYTES]);
        facts.unwinds = number(std::mem::offset_of!(Self, unwinds)) == 1;
        facts.debug_assertions = number(std::mem::offset_of!(Self, debug_assertions)) == 1;
        facts.services_hash = long(std::mem::offset_of!(Self, services_hash));
        facts.rustc = text(std::mem::offset_of!(Self, rustc));
        facts.target = text(std::mem::offset_of!(Self, target));
        facts.name = text(std::mem::offset_of!(Self, name));
        facts.name.truncate(facts.name.find("::").unwrap_or(facts.name.len()));
        Ok(facts)
    }

    /// The function that connects the module to its host.
    #[must_use]
    pub fn start(&self) -> unsafe extern "C" fn(*const Services) -> u32 {
        self.start
    }

    /// The interfaces that the module wants from its host.
    #[must_use]
    pub fn needs(&self) -> Needs {
        (self.needs)()
    }

    /// The function that flushes what the module buffers.
    #[must_use]
    pub fn stop(&self) -> extern "C" fn() {
        self.stop
    }
}

const fn padded(text: &str) -> [u8; TEXT_BYTES] {
    let mut bytes = [0; TEXT_BYTES];
    let mut index = 0;
    while index < text.len() && index < TEXT_BYTES {
        bytes[index] = text.as_bytes()[index];
        index += 1;
    }
    bytes
}

fn unpadded(bytes: &[u8]) -> String {
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::properties::config;

    fn bytes(path: &str, unwinds: bool) -> Vec<u8> {
        unsafe extern "C" fn start(_: *const Services) -> u32 {
            0
        }
        extern "C" fn stop() {}
        fn needs() -> Needs {
            &[]
        }
        let root = Root::new(path, unwinds, start, stop, needs);
        // SAFETY: plain data of this size: numbers, texts and three addresses leave no gap.
        unsafe { std::slice::from_raw_parts((&raw const root).cast::<u8>(), size_of::<Root>()) }
            .to_vec()
    }

    #[test]
    fn a_record_has_no_gap_that_could_hold_anything() {
        let addresses = 3 * size_of::<fn()>();
        assert_eq!(size_of::<Root>(), 8 + 4 * 4 + 8 + 3 * TEXT_BYTES + addresses);
    }

    #[test]
    fn of_another_boundary_only_the_number_is_known() {
        let mut bytes = bytes("game", true);
        bytes[std::mem::offset_of!(Root, abi_number)] ^= 0x80;
        let facts = Root::read(&bytes[..16]).expect("the number is there");
        assert_ne!(facts.abi_number, ABI_NUMBER);
        assert_eq!((facts.rustc.as_str(), facts.name.as_str()), ("", ""));
        assert_eq!(Root::read(&bytes), Ok(facts));
    }

    proptest! {
        #![proptest_config(config(1_000))]

        #[test]
        fn what_is_written_reads_back(
            name in "[a-z][a-z0-9_]{0,40}",
            module in "(::[a-z]{1,8}){0,4}",
            unwinds in any::<bool>(),
        ) {
            let path = format!("{name}{module}");
            let facts = Root::read(&bytes(&path, unwinds)).expect("whole");
            let expected = RootFacts { unwinds, name, ..Root::expected() };
            prop_assert_eq!(facts, expected);
        }

        /// A name that has no room is cut, and any text is a text.
        #[test]
        fn a_long_name_is_cut(path in ".{0,60}") {
            let facts = Root::read(&bytes(&path, true)).expect("whole");
            let shown = path.split('\0').next().unwrap_or_default().split("::").next();
            let is_whole = path.len() <= TEXT_BYTES;
            prop_assert!(!is_whole || Some(facts.name.as_str()) == shown);
        }

        #[test]
        fn what_is_damaged_or_cut_is_refused_or_read(
            damages in vec((0..size_of::<Root>(), any::<u8>()), 0..6),
            length in 0..2 * size_of::<Root>(),
        ) {
            let mut bytes = bytes("game::module", true);
            for (place, value) in damages {
                bytes[place] = value;
            }
            bytes.truncate(length);
            let number = bytes.get(12..16).map(|number| number != ABI_NUMBER.to_ne_bytes());
            match Root::read(&bytes) {
                Ok(_) => prop_assert!(length >= size_of::<Root>() || number == Some(true)),
                Err(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }
}
