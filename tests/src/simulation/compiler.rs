//! A compiler that does as the schedule says while it builds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use hotswap_engine::{
    BuildBackend, BuildErrorKind, BuildJob, Built, Diagnostics, Recipe, StopSignal,
};

use super::text::{Library, Text};
use super::world::PATIENCE;
use crate::prebuilt;

/// Where a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// It has read nothing yet.
    Begun,
    /// It has read the source.
    Read,
}

/// What a build is told to do at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    GoOn,
    /// Go on only when it is told to stop.
    WaitForStop,
}

/// A build that waits for an order.
pub(super) type Asking = (Moment, Sender<Order>);

/// The libraries that there are.
pub(super) type Libraries = Arc<BTreeMap<Library, PathBuf>>;

/// Builds all libraries that texts compile to.
pub(super) fn libraries(directory: &Path) -> Libraries {
    let mut libraries: BTreeMap<_, _> = (1..=super::NUMBERS)
        .map(|number| (Library::Numbered(number), prebuilt::numbered(number)))
        .collect();
    let whole = fs::read(&libraries[&Library::Numbered(1)]).expect("just built");
    let damaged = directory.join("libdamaged.so");
    fs::write(&damaged, &whole[..whole.len() / 2]).expect("a temporary directory is writable");
    libraries.insert(Library::Lacking, prebuilt::named("sample.rs"));
    libraries.insert(Library::Damaged, damaged);
    Arc::new(libraries)
}

/// Compiles a [`Text`] by copying a library that was built before. It remembers what it built, as cargo's backend does.
///
/// It reads and writes past the seam: a fault is never its own.
#[derive(Debug)]
pub(super) struct Compiler {
    pub(super) source: PathBuf,
    pub(super) target_dir: PathBuf,
    pub(super) libraries: Libraries,
    pub(super) builds: Arc<AtomicU64>,
    pub(super) asks: Sender<Asking>,
}

impl Compiler {
    fn ask(&self, moment: Moment) -> Order {
        let (reply, order): (_, Receiver<Order>) = bounded(1);
        // A schedule that has failed is gone, and gives no orders.
        let _sent = self.asks.send((moment, reply));
        order.recv_timeout(PATIENCE).unwrap_or(Order::GoOn)
    }
}

impl BuildBackend for Compiler {
    fn build(&mut self, _job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        // Relaxed: read by who has waited for the build by other means.
        self.builds.fetch_add(1, Ordering::Relaxed);
        // Nothing is ever sent on the channel: its end is the signal.
        if self.ask(Moment::Begun) == Order::WaitForStop
            && stop.channel().recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
        {
            // A panic would be taken for a build that failed.
            eprintln!("a build of what is no longer there was not told to stop");
            std::process::exit(1);
        }
        if stop.is_stopped() {
            return Err(BuildErrorKind::Stopped);
        }
        let text = fs::read_to_string(&self.source).unwrap_or_default();
        self.ask(Moment::Read);
        let Some(library) = Text::parse(&text).and_then(|text| text.library) else {
            let mut diagnostics = Diagnostics::default();
            diagnostics.rendered = format!("error: not a version: {text}");
            diagnostics.error_count = 1;
            diagnostics.first_error = Some("source.rs:1:1: not a version".to_owned());
            return Err(BuildErrorKind::Failed { diagnostics });
        };
        // As cargo does it: every build is a new inode.
        fs::create_dir_all(&self.target_dir).expect("the target directory is writable");
        let output = self.target_dir.join("libsource.so");
        let _absent = fs::remove_file(&output);
        fs::copy(&self.libraries[&library], &output).expect("the target directory is writable");
        Ok(Built::new(output, &self.target_dir))
    }

    fn recipe(&self, _job: &BuildJob) -> Option<Recipe> {
        Some(Recipe::new(&self.target_dir, "copies"))
    }

    fn toolchain(&self, _stop: &StopSignal) -> Option<Vec<u8>> {
        Some(b"one and only".to_vec())
    }
}
