//! The common form of everything here: a text of lines, each a word, a space and a value. It has one way to be written.

/// A line that is not what it had to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found:?}")]
#[non_exhaustive]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// What had to be there.
    pub expected: &'static str,
    /// What is there, cut off where it is long.
    pub found: String,
}

/// How much of a bad line is shown.
const SHOWN_CHARACTERS_MAX: usize = 100;

impl LineError {
    pub(crate) fn new(line: usize, expected: &'static str, found: &str) -> Self {
        Self { line, expected, found: found.chars().take(SHOWN_CHARACTERS_MAX).collect() }
    }
}

/// Reads lines, and knows where it is.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    rest: &'a str,
    /// Of the line read last.
    number: usize,
}

impl<'a> Lines<'a> {
    /// A text whose first line has this number.
    pub(crate) fn starting_at(number: usize, text: &'a str) -> Self {
        Self { rest: text, number: number - 1 }
    }

    /// The next line, without its end, if that is there.
    fn next_line(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        self.number += 1;
        Some(line)
    }

    /// The next line, which has to be this one.
    pub(crate) fn exactly(&mut self, expected: &'static str) -> Result<(), LineError> {
        match self.next_line() {
            Some(line) if line == expected => Ok(()),
            Some(line) => Err(LineError::new(self.number, expected, line)),
            None => Err(self.unfinished(expected)),
        }
    }

    /// What follows this word and a space in the next line.
    pub(crate) fn value(&mut self, word: &'static str) -> Result<&'a str, LineError> {
        let line = self.next_line().ok_or_else(|| self.unfinished(word))?;
        let value = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
        value.ok_or_else(|| LineError::new(self.number, word, line))
    }

    /// The next line, made into something else.
    pub(crate) fn line<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, LineError> {
        let line = self.next_line().ok_or_else(|| self.unfinished(expected))?;
        parse(line).ok_or_else(|| LineError::new(self.number, expected, line))
    }

    /// What follows this word, made into something else.
    pub(crate) fn parsed<T>(
        &mut self,
        word: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, LineError> {
        let value = self.value(word)?;
        parse(value).ok_or_else(|| LineError::new(self.number, expected, value))
    }

    /// The number of the line that was read last.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }

    /// That this was all.
    pub(crate) fn end(&self) -> Result<(), LineError> {
        match self.rest {
            "" => Ok(()),
            rest => Err(LineError::new(self.number + 1, "the end", rest)),
        }
    }

    fn unfinished(&self, expected: &'static str) -> LineError {
        LineError::new(self.number + 1, expected, self.rest)
    }
}

/// A number as it is written: no sign, no zero in front.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}
