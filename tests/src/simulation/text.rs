//! What may lie in the source, and what it compiles to.

use std::fmt;

/// A module that can be loaded, or cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Library {
    /// The module whose `version()` gives this number.
    Numbered(u64),
    /// A whole module that exports no `version`: refused as long as somebody holds a handle to it.
    Lacking,
    /// The first half of a library: refused for good.
    Damaged,
}

/// A text of the source. The comment makes texts of one library differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Text {
    /// What it compiles to; `None` for one that does not compile.
    pub(super) library: Option<Library>,
    pub(super) comment: u64,
}

impl Text {
    /// What stands for the source of a library that is offered: no text that is ever written.
    pub(super) fn of_offered(library: Library) -> Self {
        Self { library: Some(library), comment: u64::MAX }
    }
}

impl Library {
    /// What a call of `version` gives in it; `None` is an error that says that it is missing.
    pub(super) fn answer(self) -> Option<u64> {
        match self {
            Self::Numbered(number) => Some(number),
            Self::Lacking | Self::Damaged => None,
        }
    }
}

/// All texts have one length: no size tells them apart.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.library {
            Some(Library::Numbered(number)) => write!(f, "version {number}")?,
            Some(Library::Lacking) => f.write_str("lacking  ")?,
            Some(Library::Damaged) => f.write_str("damaged  ")?,
            None => f.write_str("broken   ")?,
        }
        write!(f, " {:03}", self.comment)
    }
}

/// As it is written: schedules and models have many.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Text {
    /// Reads what `Display` wrote; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let library = match words.next()? {
            "version" => Some(Library::Numbered(words.next()?.parse().ok()?)),
            "lacking" => Some(Library::Lacking),
            "damaged" => Some(Library::Damaged),
            "broken" => None,
            _ => return None,
        };
        Some(Self { library, comment: words.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_and_have_one_length() {
        for library in
            [None, Some(Library::Numbered(6)), Some(Library::Lacking), Some(Library::Damaged)]
        {
            let text = Text { library, comment: 17 };
            assert_eq!(Text::parse(&text.to_string()), Some(text));
            assert_eq!(text.to_string().len(), "version 1 000".len());
        }
        assert_eq!(Text::parse("versio"), None);
    }
}
