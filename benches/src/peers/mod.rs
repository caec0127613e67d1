//! What a user would pick instead: libloading alone, arc-swap as the slot, hot-lib-reloader, relib.
//!
//! Each does what its documentation shows. None of them builds: a person, or a tool that watches, runs `cargo build`, and that is part of
//! their edit to live. None of them compares signatures: whoever calls promises them.

mod plain_crate;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hot_lib_reloader::LibReloader;
use libloading::{Library, Symbol};
use parking_lot::RwLock;

use crate::build::LiveCrate;
use crate::call::{CallPath, Calls, alone};
use crate::load::{Libraries, Offers, tiny_c};
use crate::module_crate::Size;
use crate::timed::{Timed, interleaved, pause};
use crate::{Comparison, Outcome, Samples, Workshop};

use plain_crate::{PlainCrate, Role};

/// How long a peer may take to see a library before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The functions of a plain crate: whoever looks for a symbol promises that it has this type, then calling it is safe.
type Add = extern "C" fn(u64, u64) -> u64;
type Version = extern "C" fn() -> u64;

/// Calls, and edits, of each peer and of ours in turn.
///
/// # Errors
///
/// When one of them fails.
pub fn measure(workshop: &Workshop, samples: usize, edits: u32) -> Outcome<Vec<Comparison>> {
    let plain = PlainCrate::new(workshop, Role::Plain)?;
    let relib = PlainCrate::new(workshop, Role::Relib)?;
    Ok(vec![
        calls(&plain, &relib, samples)?,
        loads(workshop, &plain, &relib, samples)?,
        edits_to_live(workshop, plain, relib, edits)?,
    ])
}

/// One call on one thread.
fn calls(plain: &PlainCrate, relib: &PlainCrate, samples: usize) -> Outcome<Comparison> {
    let ours = Calls::open()?;
    plain.build(0)?;
    relib.build(0)?;
    let library = open(plain.library())?;
    // SAFETY: the crate exports `add` with this type.
    let add: Symbol<'_, Add> = unsafe { library.get("add") }?;
    let slot: ArcSwap<fn(u64, u64) -> u64> = ArcSwap::from_pointee(|a, b| a + b);
    let reloader = reloader(plain)?;
    let reloader = RwLock::new(reloader);
    // SAFETY: it was built by this compiler, with the release of relib that loads it.
    let relib = unsafe { relib_host::load_module::<()>(relib.library(), ()) }
        .map_err(|error| error.to_string())?;
    let mut paths = vec![
        ours.timed(CallPath::Raw, 1),
        ours.timed(CallPath::Handle, 1),
        ours.timed(CallPath::Name, 1),
        Timed::new("libloading, a symbol that is kept", |calls| {
            Ok(alone(calls, || add(black_box(2), black_box(3))))
        }),
        Timed::new("libloading, by name", |calls| {
            let by_name = || {
                // SAFETY: as above.
                let add = unsafe { library.get::<Add>("add") }.expect("it is there");
                add(black_box(2), black_box(3))
            };
            Ok(alone(calls, by_name))
        }),
        Timed::new("arc-swap as the slot", |calls| {
            Ok(alone(calls, || slot.load()(black_box(2), black_box(3))))
        }),
        Timed::new("hot-lib-reloader", |calls| {
            // What its macro writes: a lock that is read, and the symbol by name.
            let by_name = || {
                let reloader = reloader.read();
                // SAFETY: as above.
                let add = unsafe { reloader.get_symbol::<Add>(b"add\0") }.expect("it is there");
                add(black_box(2), black_box(3))
            };
            Ok(alone(calls, by_name))
        }),
        Timed::new("relib, main of the module", |calls| {
            // SAFETY: `main` of the crate has this type.
            Ok(alone(calls, || unsafe { relib.call_main::<u64>() }.expect("it does not panic")))
        }),
    ];
    // All of them on one thread.
    let name = |path: &Timed<'_>| path.name.trim_end_matches("/1").to_owned();
    let names: Vec<String> = paths.iter().map(name).collect();
    let samples = interleaved(&mut paths, Duration::from_millis(2), samples)?;
    drop(paths);
    relib.unload().map_err(|error| error.to_string())?;
    Ok(Comparison::new("peers_call", "One call, one thread", names.into_iter().zip(samples), 2))
}

/// From a library to the first call in it; that it is closed again is not timed.
fn loads(
    workshop: &Workshop,
    plain: &PlainCrate,
    relib: &PlainCrate,
    samples: usize,
) -> Outcome<Comparison> {
    let libraries = Libraries::build(workshop)?;
    let offers = Offers::open(&libraries.modules[0])?;
    let (plain, relib) = (plain.library(), relib.library());
    let mut paths = [
        tiny_c(&libraries.tiny),
        offers.timed(&libraries.modules[0]),
        Timed::new("libloading", |rounds| {
            let one = |_| -> Outcome<Duration> {
                let start = Instant::now();
                let library = open(&plain)?;
                // SAFETY: the crate exports `version` with this type.
                black_box(unsafe { library.get::<Version>("version") }?());
                Ok(start.elapsed())
            };
            (0..rounds).map(one).sum()
        }),
        Timed::new("relib", |rounds| {
            let one = |_| -> Outcome<Duration> {
                let start = Instant::now();
                // SAFETY: it was built by this compiler, with the release of relib that loads it.
                let module = unsafe { relib_host::load_module::<()>(&relib, ()) };
                let module = module.map_err(|error| error.to_string())?;
                // SAFETY: `main` of the crate has this type.
                black_box(unsafe { module.call_main::<u64>() });
                let time = start.elapsed();
                module.unload().map_err(|error| error.to_string())?;
                Ok(time)
            };
            (0..rounds).map(one).sum()
        }),
    ];
    let names: Vec<String> = paths.iter().map(|path| path.name.clone()).collect();
    let samples = interleaved(&mut paths, Duration::ZERO, samples)?;
    let readings = names.into_iter().zip(samples);
    Ok(Comparison::new("peers_load", "From a library to the first call", readings, 1))
}

/// Makes the edit of a number live, and says how long that took.
type Edit<'a> = Box<dyn FnMut(u64) -> Outcome<Duration> + 'a>;

/// From the end of an edit until a call gives the new answer.
fn edits_to_live(
    workshop: &Workshop,
    plain: PlainCrate,
    relib: PlainCrate,
    edits: u32,
) -> Outcome<Comparison> {
    let watched = PlainCrate::new(workshop, Role::Watched)?;
    let mut live = LiveCrate::open(workshop, Size::Small, None)?;
    watched.build(0)?;
    let mut hot = HotLibReloader::open(&watched)?;
    let mut peers: Vec<(&str, Edit<'_>)> = vec![
        ("cargo build alone (floor)", Box::new(|edit| plain.timed_build(1_000 + edit))),
        ("edit to live", Box::new(|_| Ok(live.edit()?.total))),
        ("cargo build, libloading", Box::new(|edit| by_libloading(&plain, edit))),
        ("cargo build, relib", Box::new(|edit| by_relib(&relib, edit))),
        ("cargo build, hot-lib-reloader", Box::new(|edit| hot.edit(&watched, edit))),
    ];
    // Whoever builds first has caches to fill.
    for (_, peer) in &mut peers {
        peer(1)?;
    }
    let mut times = vec![Vec::new(); peers.len()];
    for edit in 2..=u64::from(edits) + 1 {
        for ((_, peer), times) in peers.iter_mut().zip(&mut times) {
            pause();
            times.push(peer(edit)?);
        }
    }
    let names = peers.iter().map(|(name, _)| (*name).to_owned());
    let samples = times.into_iter().map(Samples::of_times);
    let title = "From a saved edit to the first call of the new code, 48 lines";
    Ok(Comparison::new("peers_edit", title, names.zip(samples), 1))
}

fn open(path: impl AsRef<Path>) -> Outcome<Library> {
    // SAFETY: a plain crate has no constructors of its own.
    Ok(unsafe { Library::new(path.as_ref()) }?)
}

/// A name that was never loaded, or the loader gives the library of before.
fn copied(library: PathBuf, edit: u64) -> Outcome<PathBuf> {
    let copy = library.with_extension(format!("{edit}.so"));
    fs::copy(library, &copy)?;
    Ok(copy)
}

fn by_libloading(plain: &PlainCrate, edit: u64) -> Outcome<Duration> {
    plain.edit(edit)?;
    let start = Instant::now();
    plain.cargo_build()?;
    let library = open(copied(plain.library(), edit)?)?;
    // SAFETY: the crate exports `version` with this type.
    let version = unsafe { library.get::<Version>("version") }?;
    arrived(version(), edit, start)
}

fn by_relib(relib: &PlainCrate, edit: u64) -> Outcome<Duration> {
    relib.edit(edit)?;
    let start = Instant::now();
    relib.cargo_build()?;
    let copy = copied(relib.library(), edit)?;
    // SAFETY: it was built by this compiler, with the release of relib that loads it.
    let module = unsafe { relib_host::load_module::<()>(copy, ()) };
    let module = module.map_err(|error| error.to_string())?;
    // SAFETY: `main` of the crate has this type.
    let version = unsafe { module.call_main::<u64>() }.ok_or("the module panicked")?;
    let time = arrived(version, edit, start);
    module.unload().map_err(|error| error.to_string())?;
    time
}

fn arrived(version: u64, edit: u64, start: Instant) -> Outcome<Duration> {
    let time = start.elapsed();
    if version == edit {
        Ok(time)
    } else {
        Err(format!("{version} answers, {edit} was written").into())
    }
}

fn reloader(plain: &PlainCrate) -> Outcome<LibReloader> {
    let library = plain.library();
    let folder = library.parent().expect("a library lies in a folder");
    Ok(LibReloader::new(folder, plain.package(), None, None)?)
}

struct HotLibReloader {
    reloader: LibReloader,
    changes: Receiver<()>,
}

impl HotLibReloader {
    fn open(plain: &PlainCrate) -> Outcome<Self> {
        let mut reloader = reloader(plain)?;
        let changes = reloader.subscribe_to_file_changes();
        Ok(Self { reloader, changes })
    }

    /// As its macro does: it is told that the file changed, and loads it.
    fn edit(&mut self, plain: &PlainCrate, edit: u64) -> Outcome<Duration> {
        plain.edit(edit)?;
        let start = Instant::now();
        plain.cargo_build()?;
        while start.elapsed() < PATIENCE {
            self.changes.recv_timeout(PATIENCE)?;
            self.reloader.update()?;
            // SAFETY: the crate exports `version` with this type.
            let version = unsafe { self.reloader.get_symbol::<Version>(b"version\0") }?;
            if version() == edit {
                return Ok(start.elapsed());
            }
        }
        Err("the library was never seen".into())
    }
}
