//! The checks between a library on disk and a version that may become current.
//!
//! First what the bytes tell, before anything of it can run; then what only a loaded image can tell.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotswap_artifact::{Artifact, Origin, Stage};
use hotswap_module::__private::{Needs, short};
use hotswap_module::VersionChange;
use hotswap_system::clock;

use super::handover::Handover;
use super::{Newcomer, Swapper};
use crate::audit::Line;
use crate::cap::{CapPolicy, Crowd};
use crate::check;
use crate::core::Core;
use crate::event::SwapReason;
use crate::hook;
use crate::image::Image;
use crate::load_error::LoadErrorKind;
use crate::services::{self, ImageContext};
use crate::siblings::Siblings;
use crate::stage::{self, Contents, Staged};
use crate::verify::{self, Verified};
use crate::version::{Provenance, Version};
use crate::version_id::{NO_VERSION, VersionId};
use crate::watch;

/// A refusal, and the event that the log has it under.
pub(super) type Refusal = (LoadErrorKind, &'static str);

/// How many versions of one engine may be mapped at a time.
///
/// 1,000: one costs some tens of kilobytes beyond its own memory; a program that keeps more has a leak.
const MAPPED_MAX: usize = 1_000;

/// A library that lies under a name of its own and was read.
pub(super) struct Taken {
    pub(super) contents: Contents,
    file: Staged,
    stage_time: Duration,
    read_time: Duration,
}

/// What a newcomer turns out to be, once it is loaded, before it takes over state: then with no more to it.
pub(super) type Loaded = Admitted<()>;

/// What a newcomer turns out to be.
pub(super) enum Admitted<H = Handover> {
    /// Loaded and checked: it may become current.
    Ready(Arc<Version>, H),
    /// What runs already, in this version: only a comment was edited, say.
    Same(VersionId),
    /// Too many versions are still in use to load another.
    Crowded(Crowd),
}

impl Swapper {
    /// Gives a library a name of its own and reads it, once. What cannot be one is refused before anything lies there.
    pub(super) fn take_in(
        &mut self,
        path: &Path,
        origin: Origin,
        home: &Path,
    ) -> Result<Taken, Refusal> {
        let refused = |kind| (kind, "verify.refused");
        self.has_room().map_err(refused)?;
        let start = clock::now();
        let opened = stage::open(path).map_err(refused)?;
        verify::architecture(path, opened.beginning()).map_err(refused)?;
        let open_time = clock::since(start);

        // What is refused from here on leaves no directory behind either.
        if !self.homes.iter().any(|known| known == home) {
            self.homes.push(home.to_owned());
        }
        let not_staged = |kind| (kind, "stage.refused");
        let start = clock::now();
        let place = stage::begin(&opened, origin, home).map_err(not_staged)?;
        let stage_time = clock::since(start);

        let start = clock::now();
        let (file, contents) = place.fill(opened).map_err(not_staged)?;
        let read_time = open_time + clock::since(start);
        Ok(Taken { file, contents, stage_time, read_time })
    }

    /// Everything that must be true of a newcomer, short of making it current.
    pub(super) fn admit(
        &mut self,
        newcomer: &mut Newcomer,
        id: VersionId,
    ) -> Result<Admitted, Refusal> {
        let version = match self.prepare(newcomer, id)? {
            Loaded::Ready(version, ()) => version,
            Loaded::Same(current) => return Ok(Admitted::Same(current)),
            Loaded::Crowded(crowd) => return Ok(Admitted::Crowded(crowd)),
        };
        let handover = self.take_over(&version, newcomer)?;
        self.commit(&version, newcomer)?;
        Ok(Admitted::Ready(version, handover))
    }

    /// Checks a newcomer and loads it.
    pub(super) fn prepare(
        &mut self,
        newcomer: &mut Newcomer,
        id: VersionId,
    ) -> Result<Loaded, Refusal> {
        newcomer.under_way.enter(Stage::Loading);
        newcomer.goes_on()?;
        let Newcomer { artifact, taken, tx, reason, .. } = newcomer;
        self.above_floor(artifact).map_err(|kind| (kind, "verify.refused"))?;
        let taken = match taken.take() {
            Some(taken) => taken,
            None => self.take_in(&artifact.path, artifact.origin, &artifact.home)?,
        };
        let Taken { mut file, mut contents, mut stage_time, read_time } = taken;
        let start = clock::now();
        let verified =
            self.verify(artifact, &contents, id).map_err(|kind| (kind, "verify.refused"))?;
        let line = Line::info("verify.ok")
            .field("sha256", contents.content)
            .field("bytes", contents.bytes.len())
            .field("exports", verified.exports.len())
            .field("rustc", &verified.root.rustc)
            .field("verify_us", (read_time + clock::since(start)).as_micros())
            .maybe("release", artifact.release);
        self.core.journal.write(Some(tx), line);
        if !verified.linkage.unpinned.is_empty() {
            let start = clock::now();
            (file, contents) = stage::edit(&contents, artifact, &verified.linkage.unpinned)
                .map_err(|kind| (kind, "stage.refused"))?;
            stage_time += clock::since(start);
            let line = Line::info("stage.edited").field("sha256", artifact.content);
            let line = line.field("loaded_sha256", contents.content);
            let text = "DF_1_NODELETE is cleared in what is loaded, so that it can be unmapped";
            self.core.journal.write(Some(tx), line.field("msg", text));
        }
        // Who names a library or a version wants it loaded, whatever is in it.
        if !matches!(reason, SwapReason::Offered | SwapReason::RolledBack)
            && let Some(current) = self.is_running(&verified, &contents)
        {
            let line = Line::info("build.same").field("version", current.number());
            self.core.journal.write(Some(tx), line);
            return Ok(Loaded::Same(current));
        }
        if !matches!(newcomer.reason, SwapReason::First | SwapReason::RolledBack)
            && let Some(crowd) = self.crowd()
        {
            self.tell_crowd(newcomer, &crowd);
            if crowd.policy != CapPolicy::Warn {
                newcomer.taken = Some(Taken { file, contents, stage_time, read_time });
                return Ok(Loaded::Crowded(crowd));
            }
        }
        self.begin_trial(newcomer);
        let Newcomer { tx, .. } = newcomer;
        drop(contents);
        let line = Line::info("stage.ok").field("path", file.path().display());
        self.core.journal.write(Some(tx), line.field("stage_us", stage_time.as_micros()));
        newcomer.goes_on()?;
        let version = self.load(&verified, file, newcomer, id)?;
        Ok(Loaded::Ready(version, ()))
    }

    /// Prepares the state that a version takes over.
    pub(super) fn take_over(
        &mut self,
        version: &Arc<Version>,
        newcomer: &Newcomer,
    ) -> Result<Handover, Refusal> {
        self.hand_over(version, newcomer).map_err(|kind| match kind {
            LoadErrorKind::Aborted => (kind, "swap.abort"),
            kind => (kind, "migrate.fail"),
        })
    }

    /// The last thing that may keep a version out: nothing but an abort at this very moment, and a log that cannot be written.
    pub(super) fn commit(&self, version: &Version, newcomer: &Newcomer) -> Result<(), Refusal> {
        if newcomer.reason != SwapReason::RolledBack {
            let from = Some(self.core.current()).filter(|current| *current != NO_VERSION);
            let line = Line::info("swap.intent").maybe("from", from.map(VersionId::number));
            let line = line.field("to", version.id.number());
            self.announce(newcomer, line).map_err(|kind| (kind, "swap.abort"))?;
        }
        newcomer.commit()
    }

    /// Writes down what is about to happen. What cannot be written down does not happen, unless the host wants it to; a way
    /// back is possible in any case.
    fn announce(&self, newcomer: &Newcomer, line: Line) -> Result<(), LoadErrorKind> {
        let Newcomer { tx, reason, .. } = newcomer;
        if *reason == SwapReason::RolledBack {
            self.core.journal.intent(Some(tx), line);
            return Ok(());
        }
        self.core.journal.announce(tx, line).map_err(|error| LoadErrorKind::Log {
            path: self.core.journal.path().map(Into::into),
            error: Arc::new(error),
        })
    }

    /// Refuses a newcomer that the process has no room for, before anything of it is loaded.
    fn has_room(&self) -> Result<(), LoadErrorKind> {
        let what = if !services::has_keys_left() {
            "earlier versions hold the process's thread-specific keys, which threads in a module take"
        } else if self.mapped_count >= MAPPED_MAX {
            "1,000 versions of this engine are still mapped"
        } else {
            return Ok(());
        };
        Err(LoadErrorKind::Exhausted { what: what.to_owned() })
    }

    /// The current version, if its code and data are those of the newcomer: build id and
    /// debug information aside. What it was loaded from is compared and not what is in memory, which it changed.
    fn is_running(&self, verified: &Verified, contents: &Contents) -> Option<VersionId> {
        let current = self.core.slot.load();
        if current.provenance.shape != Some(verified.shape) {
            return None;
        }
        // A file that somebody cleaned away is no reason to turn down a newcomer.
        let running = stage::map(current.image.as_ref()?.path()).ok()?;
        verify::is_same_code(&running, &contents.bytes).then_some(current.id)
    }

    /// Checks everything that the bytes of the file can tell.
    fn verify(
        &self,
        artifact: &Artifact,
        contents: &Contents,
        id: VersionId,
    ) -> Result<Verified, LoadErrorKind> {
        let verified = verify::verify(&artifact.path, &contents.bytes)?;
        if contents.content != artifact.content {
            return Err(LoadErrorKind::Content {
                expected: artifact.content,
                found: contents.content,
            });
        }
        self.core.expectations.check_file(&verified, id)?;
        let named = verified.needs().map(|need| need.name.as_str());
        provides_named(&self.core, named, id)?;
        Ok(verified)
    }

    /// Maps the library, connects it, and checks what only a loaded image can tell.
    fn load(
        &mut self,
        verified: &Verified,
        file: Staged,
        newcomer: &Newcomer,
        id: VersionId,
    ) -> Result<Arc<Version>, Refusal> {
        let Newcomer { artifact, tx, under_way, .. } = newcomer;
        let start = clock::now();
        // Loading it runs code of it: its constructors and hooks.
        self.announce(newcomer, Line::info("load.intent").field("to", id.number()))
            .map_err(|kind| (kind, "load.refused"))?;
        let context = Arc::new(ImageContext::of(&self.core, self.core.slot.bell()));
        let (image, mut functions) = Image::load(verified, file, Arc::clone(&context))
            .map_err(|kind| (kind, "load.refused"))?;
        context.keep_for_good(&verified.linkage.keeping);
        if !image.brought().is_empty() {
            let line = Line::info("load.libraries").field("libraries", image.brought().join(", "));
            self.core
                .journal
                .write(Some(tx), line.field("msg", "linked by it, and mapped for good"));
        }
        self.core.deadlines.settings.apply(&mut functions.exports);
        self.mapped_count += 1;
        self.staged.push(image.path().to_owned());
        let needs = image.needs();
        let version = Arc::new(Version {
            id,
            exports: functions.exports,
            hooks: functions.hooks,
            was_started: AtomicBool::new(false),
            provenance: Provenance {
                fingerprint: Some(artifact.fingerprint),
                content: Some(artifact.content),
                release: artifact.release,
                shape: Some(verified.shape),
                bytes: artifact.bytes,
                build_time: artifact.build_time,
                load_time: clock::since(start),
                report: watch::build_report(artifact),
            },
            since: clock::wall(),
            holds: context.holds(),
            image: Some(image),
            retire: self.retire.clone(),
            was_current: AtomicBool::new(false),
            siblings: Siblings::default(),
            linked: None,
        });
        context.attach(version.id, &version);
        context.declare(functions.kinds);
        // A refusal from here on drops the version, which sends its image back to be unmapped.
        let core = &self.core;
        let from = Some(core.current()).filter(|current| *current != NO_VERSION);
        let change = VersionChange::new(from.map(VersionId::number), Some(id.number()));
        core.expectations
            .check_loaded(|name| version.exports.find(name), id)
            .and_then(|()| provides(core, needs, id))
            .and_then(|()| {
                under_way.enter(Stage::LoadHook);
                // Relaxed: read again only by the drop of the last reference, which orders itself after this.
                version.was_started.store(true, Ordering::Relaxed);
                hook::run(&version, change, core.load_deadline, under_way.aborted())
            })
            .map_err(|kind| match kind {
                LoadErrorKind::Aborted => (kind, "swap.abort"),
                kind => (kind, "load.refused"),
            })?;
        under_way.enter(Stage::Loading);
        let line = Line::info("load.ok").field("load_us", clock::since(start).as_micros());
        let line = line.maybe("kept_by", context.kept_by());
        self.core.journal.write(Some(tx), line);
        Ok(version)
    }
}

/// Host functions that exports mention by name, against what the host provides.
pub(crate) fn provides_named<'a>(
    core: &Core,
    mut names: impl Iterator<Item = &'a str>,
    id: VersionId,
) -> Result<(), LoadErrorKind> {
    match names.find(|name| core.provided.signature(name).is_none()) {
        None => Ok(()),
        Some(name) => Err(LoadErrorKind::HostFunction {
            name: name.to_owned(),
            provides: "does not provide it".to_owned(),
            version: id,
        }),
    }
}

/// What `needs = [..]` asks for, against what the host provides.
pub(crate) fn provides(core: &Core, needs: Needs, id: VersionId) -> Result<(), LoadErrorKind> {
    for need in needs.iter().copied().flatten() {
        let provided = core.provided.signature(need.name);
        let is_same = provided.is_some_and(|(signature, hash)| {
            check::same(signature, hash, need.signature, need.signature.hash())
        });
        if !is_same {
            let wanted = short(&need.signature.text());
            let provides = provided.map_or_else(
                || format!("does not provide it (wanted: fn{wanted})"),
                |(signature, _)| {
                    let (has, wanted) =
                        check::readable(&signature.full_text(), &need.signature.full_text());
                    format!("provides fn{has} (wanted: fn{wanted})")
                },
            );
            return Err(LoadErrorKind::HostFunction {
                name: need.name.to_owned(),
                provides,
                version: id,
            });
        }
    }
    Ok(())
}
