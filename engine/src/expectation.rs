//! What callers rely on: open handles and required interfaces.

use std::sync::{Arc, Weak};

use hotswap_module::__private::short;
use hotswap_module::Signature;
use parking_lot::Mutex;

use crate::check;
use crate::exports::Found;
use crate::load_error::LoadErrorKind;
use crate::verify::Verified;
use crate::version_id::VersionId;

/// One function that somebody relies on. A version without it is refused.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) name: String,
    pub(crate) signature: &'static Signature,
    pub(crate) hash: u64,
    /// Who relies on it, for the message: `an open handle`, `required by Sample`.
    pub(crate) wanted_by: String,
}

/// All that is expected of the next version. Handles take theirs back by dropping it.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    required: Vec<Expectation>,
    handles: Mutex<Vec<Weak<Expectation>>>,
}

impl Expectations {
    pub(crate) fn new(required: Vec<Expectation>) -> Self {
        Self { required, handles: Mutex::default() }
    }

    /// Adds what a handle relies on.
    pub(crate) fn add(&self, expectation: &Arc<Expectation>) {
        let mut handles = self.handles.lock();
        handles.retain(|handle| handle.strong_count() > 0);
        handles.push(Arc::downgrade(expectation));
    }

    /// Checks what the file says, before it is loaded.
    pub(crate) fn check_file(
        &self,
        verified: &Verified,
        version: VersionId,
    ) -> Result<(), LoadErrorKind> {
        self.each(|wanted| {
            let export = verified.export(&wanted.name).ok_or_else(|| missing(wanted, version))?;
            if export.hash == wanted.hash {
                Ok(())
            } else {
                Err(differs(wanted, &wanted.signature.text(), &export.signature, version))
            }
        })
    }

    /// Checks the loaded exports: also what only entered by name.
    pub(crate) fn check_loaded<'a>(
        &self,
        find: impl Fn(&str) -> Option<Found<'a>>,
        version: VersionId,
    ) -> Result<(), LoadErrorKind> {
        self.each(|wanted| {
            let found = find(&wanted.name).ok_or_else(|| missing(wanted, version))?.export;
            if check::same(wanted.signature, wanted.hash, found.signature, found.hash) {
                Ok(())
            } else {
                let (expected, found) = (wanted.signature.full_text(), found.signature.full_text());
                Err(differs(wanted, &expected, &found, version))
            }
        })
    }

    fn each(
        &self,
        check: impl Fn(&Expectation) -> Result<(), LoadErrorKind>,
    ) -> Result<(), LoadErrorKind> {
        self.required.iter().try_for_each(&check)?;
        let handles: Vec<_> = self.handles.lock().iter().filter_map(Weak::upgrade).collect();
        handles.iter().try_for_each(|handle| check(handle))
    }
}

fn missing(wanted: &Expectation, version: VersionId) -> LoadErrorKind {
    LoadErrorKind::Missing {
        name: wanted.name.clone(),
        expected: short(&wanted.signature.text()),
        wanted_by: wanted.wanted_by.clone(),
        version,
    }
}

fn differs(wanted: &Expectation, expected: &str, found: &str, version: VersionId) -> LoadErrorKind {
    let (expected, found) = check::readable(expected, found);
    LoadErrorKind::Signature { name: wanted.name.clone(), expected, found, version }
}
