//! Which cells this thread has locked, so that it never waits for itself.

use std::cell::RefCell;
use std::fmt;

use hotswap_module::__private::Access;

/// How much of a function's and a file's name is kept. Copied and not borrowed: who forgets a guard may be unmapped later.
const NAME_BYTES: usize = 40;

/// Who locked a cell: a function, and the place in it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    function: [u8; NAME_BYTES],
    file: [u8; NAME_BYTES],
    line: u32,
}

impl Place {
    pub(crate) fn new(function: &str, file: &str, line: u32) -> Self {
        let mut place = Self { function: [0; NAME_BYTES], file: [0; NAME_BYTES], line };
        let function = &function.as_bytes()[..function.len().min(NAME_BYTES)];
        place.function[..function.len()].copy_from_slice(function);
        // Its end tells more.
        let file = &file.as_bytes()[file.len().saturating_sub(NAME_BYTES)..];
        place.file[..file.len()].copy_from_slice(file);
        place
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8; NAME_BYTES]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        let (function, file, line) = (text(&self.function), text(&self.file), self.line);
        match function.as_str() {
            "" => write!(f, "{file}:{line}"),
            function => write!(f, "{function} ({file}:{line})"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One cell that this thread has locked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Its address.
    pub(crate) cell: usize,
    pub(crate) access: Access,
    pub(crate) by: Place,
}

thread_local! {
    static HELD: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

/// How this thread has a cell locked, if it has.
pub(crate) fn access(cell: usize) -> Option<Access> {
    of(cell, |held| held.access)
}

/// Who locked it on this thread.
#[cold]
pub(crate) fn holder(cell: usize) -> Place {
    of(cell, |held| held.by).unwrap_or_else(|| Place::new("", "", 0))
}

/// What is wanted of a lock of a cell. Where there are several they all read: who writes a cell is alone with it.
fn of<T>(cell: usize, what: impl Fn(&Held) -> T) -> Option<T> {
    // A thread that is ending has forgotten it.
    let found = |list: &RefCell<Vec<Held>>| {
        list.borrow().iter().rev().find(|held| held.cell == cell).map(&what)
    };
    HELD.try_with(found).ok().flatten()
}

pub(crate) fn add(held: Held) {
    let _ = HELD.try_with(|list| list.borrow_mut().push(held));
}

/// Takes the latest of them off.
pub(crate) fn remove(cell: usize, access: Access) {
    let _ = HELD.try_with(|list| {
        let mut list = list.borrow_mut();
        let is_it = |held: &Held| held.cell == cell && held.access == access;
        if let Some(at) = list.iter().rposition(is_it) {
            // Mostly the last, which nothing has to take the place of.
            list.swap_remove(at);
        }
    });
}
