//! How a library is linked, as its dynamic section and symbols tell before it is loaded: what it brings along, and what
//! would keep it from being unloaded.

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn as _, ElfFile64, ProgramHeader as _};
use object::{Object as _, ObjectSymbol as _};

use crate::load_error::LoadErrorKind;

/// What its dynamic section and symbols say of how it can be loaded, and unloaded.
#[derive(Debug, Default)]
pub(crate) struct Linkage {
    /// The shared libraries that it links, by the names that the loader looks for.
    pub(crate) libraries: Vec<String>,
    /// The functions on whose account it stays mapped for good.
    pub(crate) keeping: Vec<String>,
    /// What to write where in the file so that it no longer asks the loader never to unmap it. Empty when it does not.
    pub(crate) unpinned: Vec<Edit>,
}

/// A word of a file, and where it belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edit {
    pub(crate) offset: usize,
    pub(crate) word: u64,
}

/// What the dynamic section and symbols give away: a shared std, static thread-local storage,
/// symbols that were not redirected.
pub(crate) fn read(file: &ElfFile64<'_, Endianness>) -> Result<Linkage, LoadErrorKind> {
    let unsupported = |what: &str, advice: &str| {
        Err(LoadErrorKind::Unsupported { what: what.to_owned(), advice: advice.to_owned() })
    };
    let endian = file.endian();
    let sections = file.elf_section_table();
    let Ok(Some((entries, strings))) = sections.dynamic(endian, file.data()) else {
        return unsupported("has no dynamic section", "build it as a cdylib");
    };
    // The loader goes by the segment.
    let is_dynamic =
        |header: &&elf::ProgramHeader64<Endianness>| header.p_type(endian) == elf::PT_DYNAMIC;
    let segment = file.elf_program_headers().iter().find(is_dynamic);
    let same = segment.filter(|segment| {
        let found = segment.dynamic(endian, file.data()).ok().flatten();
        found.is_some_and(|found| std::ptr::eq(found.as_ptr(), entries.as_ptr()))
    });
    let Some(segment) = same else {
        return unsupported("has two dynamic sections", "build it as a cdylib");
    };
    let start: u64 = segment.p_offset(endian);
    let strings = sections.strings(endian, file.data(), strings).unwrap_or_default();
    let mut linkage = Linkage::default();
    for (index, entry) in entries.iter().enumerate() {
        let (tag, value): (u64, u64) = (entry.d_tag(endian), entry.d_val(endian));
        if tag == u64::from(elf::DT_NEEDED) {
            let name = entry.string(endian, strings).unwrap_or_default();
            if name.starts_with(b"libstd-") {
                return unsupported(
                    "links std as a shared library",
                    "build it without -C prefer-dynamic",
                );
            }
            linkage.libraries.push(String::from_utf8_lossy(name).into_owned());
        }
        if tag == u64::from(elf::DT_FLAGS) && value & u64::from(elf::DF_STATIC_TLS) != 0 {
            return unsupported(
                "needs static thread-local storage (DF_STATIC_TLS), of which a process has room for a few libraries: it would run out after a few versions",
                "link without what brings it, a bundled jemalloc for instance, or compile that with -ftls-model=global-dynamic",
            );
        }
        if tag == u64::from(elf::DT_FLAGS_1) && value & u64::from(elf::DF_1_NODELETE) != 0 {
            // A word for the tag comes first.
            let offset = start as usize + index * size_of_val(entry) + size_of::<u64>();
            linkage.unpinned.push(Edit { offset, word: value & !u64::from(elf::DF_1_NODELETE) });
        }
    }
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_undefined()) {
        let name = symbol.name().unwrap_or_default();
        if REDIRECTED.contains(&name) {
            return unsupported(
                &format!("calls {name} of the C library directly"),
                "let an engine or `hotswap check` build it, so that it could be unloaded",
            );
        }
        if KEEPING.contains(&name) {
            linkage.keeping.push(name.to_owned());
        }
    }
    Ok(linkage)
}

/// Symbols that a module must have bound to its own redirections. One that it imports instead
/// would reach libc behind the host's back.
const REDIRECTED: [&str; 14] = [
    "__cxa_atexit",
    "__cxa_thread_atexit",
    "__cxa_thread_atexit_impl",
    "__pthread_key_create",
    "pthread_create",
    "pthread_key_create",
    "pthread_key_delete",
    "pthread_setspecific",
    "sigaction",
    "signal",
    "thrd_create",
    "tss_create",
    "tss_delete",
    "tss_set",
];

/// Symbols of the C library that take an address inside the module and may use it at any time, on a thread of nobody's or
/// at the end of the process. What imports one stays mapped for good.
const KEEPING: [&str; 23] = [
    // Signal handlers, by other names.
    "__sigaction",
    "__sysv_signal",
    "bsd_signal",
    "sigset",
    "ssignal",
    "sysv_signal",
    // They start a thread of the C library's when something happens (SIGEV_THREAD).
    "aio_fsync",
    "aio_fsync64",
    "aio_read",
    "aio_read64",
    "aio_write",
    "aio_write64",
    "getaddrinfo_a",
    "lio_listio",
    "lio_listio64",
    "mq_notify",
    "timer_create",
    // Others that keep a function.
    "clone",
    "on_exit",
    "register_printf_function",
    "register_printf_modifier",
    "register_printf_specifier",
    "register_printf_type",
];
