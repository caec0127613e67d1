//! Which part of a file is asked for.

use std::ops::Bound;

use headers::Range;

/// A part of a file: where it begins, and how many bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) bytes: u64,
}

/// The part of a file of this length; an error when it has none of what is asked for. Of several parts the whole is given, as a server may.
pub(super) fn part(range: Option<&Range>, bytes: u64) -> Result<Option<Part>, ()> {
    let Some(range) = range else { return Ok(None) };
    let mut parts = range.satisfiable_ranges(bytes);
    let first = parts.next().ok_or(())?;
    if parts.next().is_some() {
        return Ok(None);
    }
    let start = match first.0 {
        Bound::Included(start) => start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match first.1 {
        Bound::Included(last) => last.saturating_add(1).min(bytes),
        Bound::Excluded(end) => end.min(bytes),
        Bound::Unbounded => bytes,
    };
    if start < end { Ok(Some(Part { start, bytes: end - start })) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use headers::{Header as _, HeaderValue};

    use super::*;

    fn asked(text: &str) -> Result<Option<(u64, u64)>, ()> {
        let value = HeaderValue::from_str(text).unwrap();
        let range = Range::decode(&mut [&value].into_iter()).unwrap();
        part(Some(&range), 10).map(|part| part.map(|part| (part.start, part.bytes)))
    }

    #[test]
    fn parts_lie_inside_of_the_file() {
        assert_eq!(asked("bytes=0-3"), Ok(Some((0, 4))));
        assert_eq!(asked("bytes=4-"), Ok(Some((4, 6))));
        assert_eq!(asked("bytes=-2"), Ok(Some((8, 2))));
        assert_eq!(asked("bytes=8-18446744073709551615"), Ok(Some((8, 2))));
        assert_eq!(asked("bytes=0-0, 2-3"), Ok(None));
        for nothing in ["bytes=10-", "bytes=11-12", "bytes=5-4", "bytes=x", "bytes="] {
            assert_eq!(asked(nothing), Err(()), "{nothing}");
        }
    }
}
