//! What joins a line to the one before it: each ends in the hash of its own text, in which the hash of the line before
//! stands.

use std::fmt;
use std::str::FromStr;

use hotswap_artifact::ContentHash;

use super::{Line, Stamp, render};
use crate::log_line::LogLine;

/// How many bytes of a SHA-256 a line carries. 16: nobody finds a second text for a hash of 128 bits, and two of
/// them still leave a line readable.
const SEAL_BYTES: usize = 16;

/// ` prev=`, ` h=` and the two hashes.
pub(crate) const JOINT_BYTES: usize = " prev=".len() + " h=".len() + 4 * SEAL_BYTES;

/// The hash of a line: the first half of the SHA-256 of its text in front of ` h=`, in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Seal([u8; SEAL_BYTES]);

impl Seal {
    /// What stands for the line before the very first.
    pub(crate) const NONE: Self = Self([0; SEAL_BYTES]);

    fn of(text: &str) -> Self {
        let mut seal = Self::NONE;
        seal.0.copy_from_slice(&ContentHash::of(text.as_bytes()).as_bytes()[..SEAL_BYTES]);
        seal
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Seal {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut seal = Self::NONE;
        for (index, byte) in seal.0.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2).ok_or(())?;
            *byte = u8::from_str_radix(digits, 16).map_err(drop)?;
        }
        // One way to write it: no capitals, no signs, nothing behind it.
        if seal.to_string() == text { Ok(seal) } else { Err(()) }
    }
}

/// The end of a log: what the next line is joined to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The number of the last line.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) seal: Seal,
}

impl Chain {
    /// Before the first line.
    pub(crate) const START: Self = Self { seq: 0, seal: Seal::NONE };

    /// Puts a line behind the last one; its text, with a newline.
    pub(crate) fn add(&mut self, line: &Line, at: Stamp) -> String {
        let seq = self.seq + 1;
        let text = format!("{} prev={}", render(line, at, seq), self.seal);
        *self = Self { seq, seal: Seal::of(&text) };
        format!("{text} h={}\n", self.seal)
    }
}

/// What a line that was read says of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joint {
    /// The hash of the line before it.
    pub(super) prev: Seal,
    /// The line itself.
    pub(super) end: Chain,
    /// Whether its hash is that of its text.
    pub(super) is_intact: bool,
}

impl Joint {
    /// `None` when the line ends in no hashes.
    pub(super) fn of(line: &LogLine) -> Option<Self> {
        let [.., (prev_key, prev), (seal_key, seal)] = &line.fields[..] else { return None };
        if prev_key != "prev" || seal_key != "h" {
            return None;
        }
        let (prev, seal) = (prev.parse().ok()?, seal.parse().ok()?);
        let text = line.to_string();
        let is_intact = text.rsplit_once(" h=").is_some_and(|(text, _)| Seal::of(text) == seal);
        Some(Self { prev, end: Chain { seq: line.seq, seal }, is_intact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_checked_without_this_library() {
        let mut chain = Chain::START;
        let first = chain.add(&Line::info("log.open").field("schema", 1), Stamp::now());
        let (text, seal) = first.trim_end().rsplit_once(" h=").expect("its hash is the last");
        assert!(text.ends_with(&format!(" prev={}", "0".repeat(32))), "{text}");
        let whole = ContentHash::of(text.as_bytes()).to_string();
        assert_eq!(seal, &whole[..32], "sha256sum of the text in front of ` h=`");
        let second = chain.add(&Line::info("engine.start"), Stamp::now());
        assert!(second.contains(" 000002 INFO  engine.start "), "{second}");
        assert!(second.contains(&format!(" prev={seal} h=")), "{second}");
    }

    #[test]
    fn a_seal_is_written_in_one_way() {
        let seal = Seal::of("text");
        let text = seal.to_string();
        assert_eq!(text.parse(), Ok(seal));
        for wrong in [
            text.to_uppercase(),
            text[1..].to_owned(),
            format!("{text}0"),
            format!("+{}", &text[1..]),
            text.replacen(&text[..1], "é", 1),
        ] {
            assert_eq!(wrong.parse::<Seal>(), Err(()), "{wrong}");
        }
    }
}
