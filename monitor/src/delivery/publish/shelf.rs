//! Where releases are put.

use hotswap_trust::Signed;

use super::{Contents, PublishErrorKind};

/// A line of releases: one channel of one module.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Line<'a> {
    /// The module.
    pub module: &'a str,
    /// The channel.
    pub channel: &'a str,
}

impl<'a> Line<'a> {
    /// A channel of a module. Both are names that a manifest may have.
    #[must_use]
    pub fn new(module: &'a str, channel: &'a str) -> Self {
        Self { module, channel }
    }
}

/// Where releases are put: a directory, a database. It checks nothing; whoever runs the code does.
///
/// Methods block for as long as writing takes.
pub trait Shelf {
    /// The place, for messages and for what is remembered of it: the same whenever the same place is meant.
    fn name(&self) -> String;

    /// Opens a line. Until the value is dropped nobody else publishes in it.
    ///
    /// # Errors
    ///
    /// When what lies there cannot be read, or [somebody else](PublishErrorKind::Busy) publishes now.
    fn open<'a>(&'a mut self, line: Line<'_>) -> Result<Box<dyn OpenLine + 'a>, PublishErrorKind>;
}

/// A line of releases that nobody else adds to.
pub trait OpenLine {
    /// The manifest that lies there now, with its signatures, and what it is called; `None` when there is none.
    fn current(&self) -> Option<(&str, &[u8])>;

    /// Puts files there, those that are not at hand ([`Contents::read`]) left as they are, and then the manifest, by one step.
    ///
    /// # Errors
    ///
    /// Then nobody finds a new release there.
    fn put(&mut self, contents: &Contents, manifest: &Signed) -> Result<(), PublishErrorKind>;
}
