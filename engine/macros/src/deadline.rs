//! `deadline = "200ms"`: a time as people write it.
//!
//! Read here and not by a crate: every module's first build would have to build that.

use syn::{Error, LitStr};

/// The units, in milliseconds.
const UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// How long a call may take before that is told.
#[derive(Clone)]
pub(crate) struct Deadline {
    pub(crate) text: LitStr,
    pub(crate) milliseconds: u32,
}

impl Deadline {
    pub(crate) fn parse(text: LitStr) -> syn::Result<Self> {
        match milliseconds(&text.value()) {
            None => Err(Error::new_spanned(
                text,
                "a deadline is a time: write `\"200ms\"`, `\"2s\"` or `\"1m 30s\"`",
            )),
            Some(milliseconds) => match u32::try_from(milliseconds) {
                Ok(milliseconds @ 1..) => Ok(Self { text, milliseconds }),
                _ => {
                    Err(Error::new_spanned(text, "a deadline is at least 1ms, and at most 49 days"))
                }
            },
        }
    }
}

/// The sum of numbers with units; `None` when the text is none.
fn milliseconds(text: &str) -> Option<u64> {
    let mut sum = None;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let unit = unit.trim_start();
        let letters = unit.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(letters);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        sum = Some(sum.unwrap_or(0_u64).checked_add(part)?);
        rest = after.trim_start();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in [
            ("200ms", Some(200)),
            ("2s", Some(2_000)),
            ("1m 30s", Some(90_000)),
            ("1min30s", Some(90_000)),
            (" 1 h ", Some(3_600_000)),
            ("0s", Some(0)),
            ("49d", Some(4_233_600_000)),
            ("", None),
            ("soon", None),
            ("200", None),
            ("ms", None),
            ("2 years", None),
            ("1.5s", None),
            ("-1s", None),
            ("2s,", None),
            ("99999999999999999999d", None),
            ("9999999999999999d", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text:?}");
        }
    }
}
