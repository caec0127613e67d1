//! A module mapped into this process: loaded, proved to be the right one, connected.

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hotswap_module::__private::{Exported, Kind, Needs, Root, Shim, Table, start_code};
use hotswap_module::Signature;
use hotswap_system::fault::{self, Operation};
use hotswap_system::mapping::is_any_mapped;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::export::Export;
use crate::exports::Exports;
use crate::hook::{Hook, Hooks};
use crate::leftovers;
use crate::libraries;
use crate::load_error::LoadErrorKind;
use crate::services::{ImageContext, ImageServices, delete_keys};
use crate::stage::Staged;
use crate::state::Kinds;
use crate::verify::Verified;

/// A loaded module. Never closed by dropping: only the swapper unmaps, by [`Image::unload`].
pub(crate) struct Image {
    library: ManuallyDrop<Library>,
    root: &'static Root,
    staged: Staged,
    /// Where its code is mapped.
    code: Vec<Range<usize>>,
    /// The libraries that came with it, and stay.
    brought: Vec<String>,
    /// What the module holds pointers to; dropped after the library is closed.
    services: ManuallyDrop<Box<ImageServices>>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("staged", &self.staged).finish_non_exhaustive()
    }
}

/// The functions of a loaded image.
#[derive(Debug)]
pub(crate) struct Functions {
    /// What callers may call, by name.
    pub(crate) exports: Exports,
    /// What the engine runs at points of the version's life.
    pub(crate) hooks: Hooks,
    /// Its state types, and the steps between them.
    pub(crate) kinds: Kinds,
}

/// What became of closing an image.
#[derive(Debug)]
pub(crate) enum Closed {
    /// No executable mapping of the file is left; of its heap memory so many bytes are, where that can be told: what it
    /// put into state is not lost.
    Unloaded { leaked_bytes: Option<u64> },
    /// It is still there, and stays; why.
    Kept(String),
    /// Code of it runs, or has become known to the C library, by what the module did at its end.
    NotYet(Image),
}

impl Image {
    /// Loads a verified, staged library, proves that the image in memory is that file, and connects it.
    ///
    /// Runs the module's constructors. On failure nothing stays loaded, as far as the loader lets go.
    pub(crate) fn load(
        verified: &Verified,
        staged: Staged,
        context: Arc<ImageContext>,
    ) -> Result<(Self, Functions), LoadErrorKind> {
        let refused = |error: io::Error| LoadErrorKind::Loader { message: error.to_string() };
        fault::check(Operation::Load, staged.path()).map_err(refused)?;
        let brought = libraries::absent(&verified.linkage.libraries);
        // SAFETY: loading runs constructors. The file was verified to be a whole module built by this
        // host's compiler, its name and inode are new, and nobody else can write it.
        let library = unsafe { Library::open(Some(staged.path()), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| LoadErrorKind::Loader { message: loader_message(&error) })?;
        libraries::keep(&verified.linkage.libraries)?;
        fault::check(Operation::Symbol, staged.path()).map_err(refused)?;
        // SAFETY: the symbol's address only; what lies there is read after the proof below.
        let symbol = unsafe { library.get::<*const u8>(Root::SYMBOL) }
            .map_err(|error| LoadErrorKind::Loader { message: loader_message(&error) })?;
        let root_start = symbol.as_raw_ptr().cast::<u8>().cast_const();
        let base = root_start.wrapping_sub(verified.root_address as usize);
        prove(verified, base)?;

        // SAFETY:
        // 1. Type: `prove` compared the root record in memory with the one that was verified in the file.
        // 2. Lifetime: the image is mapped until `unload`, which consumes the only holder of this reference.
        let root = unsafe { &*root_start.cast::<Root>() };
        let services = Box::new(ImageServices::new(context));
        // SAFETY: `start`'s contract: the table lives in `services`, which outlives the library; called
        // once, on a fresh image, before any export.
        let code = unsafe { root.start()(services.table()) };
        let image = Self {
            library: ManuallyDrop::new(library),
            root,
            staged,
            code: verified.code.iter().map(|range| mapped_at(base, range)).collect(),
            brought,
            services: ManuallyDrop::new(services),
        };
        match code {
            start_code::STARTED => {}
            start_code::ALLOCATED_EARLY => {
                image.abandon();
                return Err(LoadErrorKind::EarlyStart { what: "allocated memory and kept it" });
            }
            _ => {
                image.abandon();
                return Err(LoadErrorKind::EarlyStart {
                    what: "started a thread, or registered a thread-local destructor, a key or a signal handler",
                });
            }
        }
        let functions = functions(verified, base);
        Ok((image, functions))
    }

    /// The interfaces that the module wants from its host.
    pub(crate) fn needs(&self) -> Needs {
        self.root.needs()
    }

    /// The file it was loaded from.
    pub(crate) fn path(&self) -> &Path {
        self.staged.path()
    }

    /// The libraries that were not there before it was loaded. They stay, whatever becomes of it.
    pub(crate) fn brought(&self) -> &[String] {
        &self.brought
    }

    /// What the host keeps about this image.
    pub(crate) fn context(&self) -> &Arc<ImageContext> {
        self.services.context()
    }

    /// Closes a library that nobody uses any more, and looks whether it is gone. Before that the module does what it wants
    /// done at its end.
    ///
    /// Only the swapper calls this, with the last reference to the version in hand.
    pub(crate) fn unload(mut self) -> Closed {
        if let Some(imports) = self.context().kept_by() {
            let why = format!(
                "it imports {imports}, by which an address inside it may be known to the C library"
            );
            self.staged.keep_inode();
            return Closed::Kept(why);
        }
        self.root.stop()();
        // What that left on this thread.
        leftovers::clear_closing();
        if !self.context().shut() {
            return Closed::NotYet(self);
        }
        delete_keys(self.context().leftovers.take_keys());
        self.close()
    }

    /// Closes a library that never became current.
    fn abandon(mut self) {
        let _ = self.close();
    }

    fn close(&mut self) -> Closed {
        // SAFETY: taken once: both callers consume `self`, and dropping an `Image` leaves the library alone.
        let library = unsafe { ManuallyDrop::take(&mut self.library) };
        let closed =
            fault::check(Operation::Unload, self.staged.path()).is_ok() && library.close().is_ok();
        if closed && !is_executable_here(self.staged.path(), &self.code) {
            let has_bytes = self.context().heap().settle();
            let leaked_bytes = (!self.context().kinds().has_types()).then_some(has_bytes);
            // SAFETY: taken once, as above; the only pointers to it were in the image, which is gone.
            drop(unsafe { ManuallyDrop::take(&mut self.services) });
            Closed::Unloaded { leaked_bytes }
        } else {
            // The image still holds pointers to its services, and its inode: both stay as long as it does.
            self.staged.keep_inode();
            Closed::Kept("the loader kept the library after it was closed".to_owned())
        }
    }
}

/// Compares root record, export records and build id in memory with those of the file.
fn prove(verified: &Verified, base: *const u8) -> Result<(), LoadErrorKind> {
    let wrong = |reason: &str| LoadErrorKind::WrongImage { reason: reason.to_owned() };
    let slice = |address: u64, length: usize| {
        let start = base.wrapping_add(address as usize);
        // SAFETY: the address and length were read from the section table of the file under this very
        // name, and sections with these names are loaded read-only data, relocated before `open` returned.
        unsafe { std::slice::from_raw_parts(start, length) }
    };
    if slice(verified.build_id_address, verified.build_id.len()) != verified.build_id {
        return Err(wrong("its build id is another"));
    }
    let root = Root::read(slice(verified.root_address, size_of::<Root>()));
    if root.as_ref() != Ok(&verified.root) {
        return Err(wrong("its root record is another"));
    }
    let mut records = Table::read(slice(verified.exports_address, verified.exports_length))
        .map_err(|error| wrong(&error.to_string()))?;
    records.sort_by(|left, right| left.name.cmp(&right.name));
    if records != verified.exports {
        return Err(wrong("its export records are others"));
    }
    Ok(())
}

/// The exports and hooks, with the addresses of their shims.
fn functions(verified: &Verified, base: *const u8) -> Functions {
    let section = base.wrapping_add(verified.exports_address as usize);
    let mut functions = Functions::new(Exports::loaded());
    for record in &verified.exports {
        // SAFETY:
        // 1. Section: `prove` compared its records with the file's, where the offsets are from.
        // 2. Mapped: the functions live in the `Version` that owns the image.
        let (shim, signature) = unsafe { Table::pointers(section, record.offset) };
        functions.add(record, shim, signature);
    }
    functions
}

impl Functions {
    pub(crate) fn new(exports: Exports) -> Self {
        Self { exports, hooks: Hooks::default(), kinds: Kinds::default() }
    }

    /// Adds what a record announces; `false` when its name is exported already.
    pub(crate) fn add(
        &mut self,
        record: &Exported,
        shim: Option<Shim>,
        signature: Option<&'static Signature>,
    ) -> bool {
        let (Some(shim), Some(signature)) = (shim, signature) else { return true };
        let hooks = match record.kind {
            Kind::Need => return true,
            Kind::State | Kind::Step | Kind::StepBack => {
                self.kinds.add(record, shim, signature);
                return true;
            }
            Kind::Export => {
                let export = Export { shim, hash: record.hash, signature };
                let is_added = self.exports.add(&record.name, export);
                if is_added && record.deadline().is_some() {
                    self.exports.set_deadline(&record.name, record.deadline());
                }
                return is_added;
            }
            Kind::OnLoad => &mut self.hooks.on_load,
            Kind::AfterSwap => &mut self.hooks.after_swap,
            Kind::BeforeUnload => &mut self.hooks.before_unload,
        };
        hooks.push(Hook { name: record.name.clone(), shim });
        true
    }
}

/// The loader's own words, without our library's around them.
fn loader_message(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

/// Addresses of an image in this process.
fn mapped_at(base: *const u8, range: &Range<u64>) -> Range<usize> {
    let address = |within: u64| base.addr().wrapping_add(within as usize);
    address(range.start)..address(range.end)
}

/// Whether this process maps a file of this name executable, whose code was here. When that cannot be
/// read, the answer is yes: never hope.
///
/// Where nothing at all is mapped it needs no reading, which takes the longer the more there is.
fn is_executable_here(path: &Path, code: &[Range<usize>]) -> bool {
    if !code.is_empty() && !code.iter().cloned().any(is_any_mapped) {
        return false;
    }
    let Ok(maps) = hotswap_system::fs::read_to_string("/proc/self/maps") else {
        return true;
    };
    // A staged file's path is canonical. The kernel writes a newline in it like this. *Source*: proc(5).
    let name = path.to_string_lossy().replace('\n', "\\012");
    maps.lines().any(|line| {
        let mut columns = line.split_ascii_whitespace();
        let permissions = columns.nth(1).unwrap_or("");
        permissions.contains('x') && line.contains(&*name)
    })
}
