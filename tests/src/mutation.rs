//! Changes bytes in the ways that readers get wrong, the same in every run.

/// Where the changes come from: xorshift64*.
#[derive(Debug, Clone)]
pub struct Mutation(u64);

/// Numbers at which lengths and offsets turn.
const NUMBERS: [u64; 10] =
    [0, 1, 8, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX - 7, u64::MAX];

/// Bytes that mean something in a text.
const BYTES: &[u8] = b"\0\n\r\t \"\\=:#{}[],-+.0Au\x1b\x7f\x80\xff";

impl Mutation {
    /// Changes that begin with `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // Nothing comes of zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Some of the bytes changed, moved, left out or taken from `other`.
    #[must_use]
    pub fn of(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, other);
        }
        bytes
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % limit
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let place = self.below(bytes.len() + 1);
        let end = bytes.len().min(place + self.below(24));
        match self.below(8) {
            0 => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
            1 => self.overwrite(bytes, place),
            2 => self.overwrite(bytes, place & !7),
            3 => bytes.insert(place, BYTES[self.below(BYTES.len())]),
            4 => drop(bytes.drain(place..end)),
            5 => {
                let part = bytes[place..end].to_vec();
                let to = self.below(bytes.len() + 1);
                drop(bytes.splice(to..to, part));
            }
            6 => {
                let start = self.below(other.len() + 1);
                let part = &other[start..other.len().min(start + 64)];
                drop(bytes.splice(place..end, part.iter().copied()));
            }
            _ if self.below(4) == 0 => bytes.truncate(place),
            _ => bytes.iter_mut().skip(place).take(1).for_each(|byte| {
                *byte = BYTES[self.below(BYTES.len())];
            }),
        }
    }

    /// Puts a number of some length there, where it fits.
    fn overwrite(&mut self, bytes: &mut [u8], place: usize) {
        let number = NUMBERS[self.below(NUMBERS.len())].to_le_bytes();
        let length = 1 << self.below(4);
        if let Some(room) = bytes.get_mut(place..place + length) {
            room.copy_from_slice(&number[..length]);
        }
    }
}
