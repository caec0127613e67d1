//! Rust source that a program has in its hands.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotswap_system::fs;
use parking_lot::Mutex;

use crate::{Attachment, Bell, Fetch, FetchError, Fetched, Fingerprint, FingerprintHasher};

/// Numbers the strings of this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// One file of Rust source, held in memory: made by [`Source::string`](crate::Source::string).
///
/// A clone is the same source; replacing its text by [`set`](Self::set) wakes whoever watches it. Each has a name space of its
/// own: two with the same text are two modules.
#[derive(Debug, Clone)]
pub struct StringSource(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `string-1`: by this name the log knows it.
    name: String,
    /// What it began with.
    first: Fingerprint,
    content: Mutex<Content>,
    bells: Mutex<Vec<Bell>>,
}

#[derive(Debug, Clone)]
struct Content {
    text: Arc<str>,
    dependencies: Vec<String>,
    fingerprint: Fingerprint,
}

impl Content {
    fn new(text: Arc<str>, dependencies: Vec<String>) -> Self {
        let mut hasher = FingerprintHasher::new();
        hasher.piece(text.as_bytes());
        dependencies.iter().for_each(|line| hasher.piece(line.as_bytes()));
        Self { text, dependencies, fingerprint: hasher.finish() }
    }
}

impl StringSource {
    pub(super) fn new(text: &str) -> Self {
        // Relaxed: only the number counts.
        let name = format!("string-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let content = Content::new(text.into(), Vec::new());
        let first = content.fingerprint;
        let (content, bells) = (Mutex::new(content), Mutex::default());
        Self(Arc::new(Shared { name, first, content, bells }))
    }

    /// Adds a line of a `[dependencies]` table: `serde = "1"`. The engine's own crate for modules is always there.
    #[must_use]
    pub fn dependency(self, line: impl Into<String>) -> Self {
        let mut content = self.0.content.lock();
        let mut dependencies = content.dependencies.clone();
        dependencies.push(line.into());
        *content = Content::new(Arc::clone(&content.text), dependencies);
        drop(content);
        self.ring();
        self
    }

    /// Replaces the text. Who watches it looks at once; this does not wait for it.
    pub fn set(&self, text: impl AsRef<str>) {
        let mut content = self.0.content.lock();
        *content = Content::new(text.as_ref().into(), content.dependencies.clone());
        drop(content);
        self.ring();
    }

    /// The text as it is now.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0.content.lock().text)
    }

    fn ring(&self) {
        self.0.bells.lock().retain(Bell::ring);
    }
}

impl Fetch for StringSource {
    fn kind(&self) -> &'static str {
        "string"
    }

    fn name(&self) -> &str {
        &self.0.name
    }

    /// In another process the first string may be another module: what it begins with tells.
    fn lasting_name(&self) -> Cow<'_, str> {
        format!("{} {}", self.0.name, self.0.first).into()
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        Ok(Some(self.0.content.lock().fingerprint))
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let Content { text, dependencies, fingerprint } = self.0.content.lock().clone();
        let file = directory.join(format!("{}.rs", self.0.name));
        fs::write(&file, &*text).map_err(|error| {
            FetchError::unavailable(format!("cannot write {}", file.display())).caused_by(error)
        })?;
        let mut fetched = Fetched::new(fingerprint, file);
        fetched.dependencies = dependencies;
        Ok(fetched)
    }

    fn attach(&self, monitor: &Attachment) {
        self.0.bells.lock().push(monitor.bell.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_the_text_rings_until_nobody_listens() {
        let source = StringSource::new("// one");
        let before = source.fingerprint().unwrap();
        let rung = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&rung);
        // Relaxed: one thread.
        let bell = Bell::new(move || count.fetch_add(1, Ordering::Relaxed) == 0);
        source.attach(&Attachment::new(bell, None, || false));
        for text in ["// two", "// three", "// four"] {
            source.clone().set(text);
            assert_eq!(&*source.text(), text);
            assert_ne!(source.fingerprint().unwrap(), before);
        }
        assert_eq!(rung.load(Ordering::Relaxed), 2, "the second ring was not heard, and the last");
    }

    #[test]
    fn equal_texts_are_two_sources() {
        let (one, other) = (StringSource::new(""), StringSource::new(""));
        assert_ne!(crate::Source::from(&one), crate::Source::from(other));
        assert_eq!(crate::Source::from(&one), crate::Source::from(one));
    }

    #[test]
    fn a_later_process_knows_it_by_what_it_began_with() {
        let source = StringSource::new("// one");
        let known = source.lasting_name().into_owned();
        source.set("// two");
        assert_eq!(source.lasting_name(), known);
        assert!(known.starts_with(source.name()));
        assert_ne!(StringSource::new("// two").0.first, source.0.first);
    }

    #[test]
    fn what_it_depends_on_is_part_of_it() {
        let source = StringSource::new("");
        let before = source.fingerprint().unwrap();
        let source = source.dependency("serde = \"1\"");
        assert_ne!(source.fingerprint().unwrap(), before);
    }
}
