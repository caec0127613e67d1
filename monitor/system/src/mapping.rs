//! Files as memory.

use std::io;
use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};
use std::slice;

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

use crate::fs::File;

/// The bytes of a file, read when they are looked at and not before.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to this alone and is never written.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a whole file, as long as it is now.
    ///
    /// # Errors
    ///
    /// As [`File::metadata`] and mmap(2); when the file is empty.
    ///
    /// # Safety
    ///
    /// 1. Whole: nobody cuts the file while it is mapped. Where it ended before, looking is SIGBUS.
    /// 2. Still: nobody writes into it meanwhile.
    #[track_caller]
    pub unsafe fn of(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let (read, private) = (ProtFlags::READ, MapFlags::PRIVATE);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe { mmap(ptr::null_mut(), length, read, private, file.descriptor(), 0) }?;
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address 0");
        Ok(Self { start, length })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY:
        // 1. Mapped: so many bytes, until the drop; none is written, which whoever made this promised.
        // 2. Bytes: every value is one.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `of` mapped it, and nothing that borrows from it outlives this.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "it was mapped like this");
    }
}

/// The smallest size of a page, in bytes, of all processors that this is for.
const PAGE: usize = 4096;

/// Whether anything is mapped at any of these addresses, page by page: 0.1 us each. Where pages are larger than 4 KiB the answer
/// may be yes though nothing is.
#[must_use]
pub fn is_any_mapped(addresses: Range<usize>) -> bool {
    let first = addresses.start - addresses.start % PAGE;
    (first..addresses.end).step_by(PAGE).any(|address| {
        // To write back what need not be written back does nothing but look. *Source*: msync(2), notes on `MS_ASYNC`.
        let start = ptr::without_provenance_mut(address);
        // SAFETY: no memory is read or written, and the kernel is asked whether there is any.
        let looked = unsafe { msync(start, PAGE, MsyncFlags::ASYNC) };
        looked != Err(rustix::io::Errno::NOMEM)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_the_file_and_an_empty_file_has_none() {
        let path = std::env::temp_dir().join(format!("hotswap-mapping-{}", std::process::id()));
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("writable");
            let file = File::open(&path).expect("readable");
            // SAFETY: 1. and 2. nobody else knows its name, and it is written again only when this is dropped.
            unsafe { Mapping::of(&file) }.map(|mapping| mapping.to_vec())
        };
        let bytes: Vec<u8> = (0..10_000_u32).map(|number| number as u8).collect();
        assert_eq!(of(&bytes).expect("mapped"), bytes);
        of(b"").expect_err("it has no bytes");
        std::fs::remove_file(&path).expect("removable");
    }

    #[test]
    fn what_is_mapped_is_told_from_what_is_not() {
        let page = PAGE;
        let (private, read) = (MapFlags::PRIVATE, ProtFlags::READ);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), 2 * page, read, private) };
        let start = start.expect("memory");
        let address = start.addr();
        assert!(is_any_mapped(address..address + 1));
        assert!(
            is_any_mapped(address + 2 * page - 1..address + 2 * page),
            "a page has its last byte"
        );
        // The kernel gives these to nobody.
        assert!(!is_any_mapped(0..1) && !is_any_mapped(address..address));
        // SAFETY: mapped above, and nobody uses it.
        unsafe { munmap(start, 2 * page) }.expect("mapped");
    }
}
