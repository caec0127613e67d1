//! Shared libraries that modules link. They stay for good: what they keep on threads, or started, leads into them, and
//! nobody knows of it.

use std::io;
use std::path::Path;

use hotswap_system::fault::{self, Operation};
use libloading::os::unix::{Library, RTLD_NOW};

use crate::load_error::LoadErrorKind;

/// Those of these libraries that are not there yet.
pub(crate) fn absent(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| find(name, 0).is_none()).cloned().collect()
}

/// Has the loader never unmap these libraries, which it loaded on account of a module, nor what they link.
pub(crate) fn keep(names: &[String]) -> Result<(), LoadErrorKind> {
    names
        .iter()
        .try_for_each(|name| keep_one(name))
        .map_err(|error| LoadErrorKind::Loader { message: error.to_string() })
}

fn keep_one(name: &str) -> io::Result<()> {
    fault::check(Operation::Load, Path::new(name))?;
    let lost = || io::Error::other(format!("{name}, which the module links, is not found by name"));
    find(name, libc::RTLD_NODELETE).map(drop).ok_or_else(lost)
}

/// A library that is loaded. What is given back is closed by being dropped.
fn find(name: &str, flags: libc::c_int) -> Option<Library> {
    // SAFETY: nothing is loaded by this, so that nothing runs.
    unsafe { Library::open(Some(name), RTLD_NOW | libc::RTLD_NOLOAD | flags) }.ok()
}
