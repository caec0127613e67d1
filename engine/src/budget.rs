//! How much heap memory code of a module may take on one thread of the host's.
//!
//! Its allocator may neither unwind nor say no to code that does not expect it: past the limit the thread waits for ever, and
//! who started it goes on without it.

use std::cell::{Cell, RefCell};
use std::thread;

use crossbeam_channel::Sender;

thread_local! {
    /// Bytes that this thread may take still.
    static LEFT: Cell<Option<i64>> = const { Cell::new(None) };
    /// Who is told when they are used up.
    static USED_UP: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
}

/// From here on this thread may take so many bytes more than it gives back. When it asks for more, `used_up` gets a
/// message, and the thread stops for good.
pub(crate) fn limit(bytes: u64, used_up: Sender<()>) {
    USED_UP.with(|known| *known.borrow_mut() = Some(used_up));
    LEFT.set(Some(i64::try_from(bytes).unwrap_or(i64::MAX)));
}

/// Counts what a module takes on this thread; negative, what it gives back.
#[inline]
pub(crate) fn charge(bytes: i64) {
    if let Some(left) = LEFT.get() {
        charge_limited(left.saturating_sub(bytes));
    }
}

#[cold]
fn charge_limited(left: i64) {
    LEFT.set(Some(left));
    if left >= 0 {
        return;
    }
    // An error means that it was told already, or that nobody waits any more.
    let _ = USED_UP.try_with(|used_up| {
        let told = used_up.borrow().as_ref().map(|used_up| used_up.try_send(()));
        told.is_some()
    });
    loop {
        thread::park();
    }
}
