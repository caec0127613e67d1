//! The checks between a library on disk and a version that may become current.
//!
//! First what the bytes tell, before anything of it can run; then what only a loaded image can tell.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hotswap_artifact::Artifact;
use hotswap_module::__private::{Needs, short};
use hotswap_system::clock;

use super::{Newcomer, Swapper};
use crate::audit::Line;
use crate::check;
use crate::core::Core;
use crate::event::SwapReason;
use crate::hook;
use crate::image::Image;
use crate::journal::Tx;
use crate::load_error::LoadErrorKind;
use crate::services::{self, ImageContext};
use crate::stage;
use crate::verify::{self, Verified};
use crate::version::{Provenance, Version};
use crate::version_id::{NO_VERSION, VersionId};

/// A refusal, and the event that the log has it under.
pub(super) type Refusal = (LoadErrorKind, &'static str);

/// How many versions of one engine may be mapped at a time.
///
/// 1,000: one costs some tens of kilobytes beyond its own memory; a program that keeps more has a leak.
const MAPPED_MAX: usize = 1_000;

/// What a newcomer turns out to be.
pub(super) enum Admitted {
    /// Loaded and checked: it may become current.
    Ready(Arc<Version>),
    /// What runs already, in this version: only a comment was edited, say.
    Same(VersionId),
}

impl Swapper {
    /// Everything that must be true of a newcomer, short of making it current.
    pub(super) fn admit(
        &mut self,
        newcomer: &Newcomer,
        id: VersionId,
    ) -> Result<Admitted, Refusal> {
        let Newcomer { artifact, tx, reason, .. } = newcomer;
        self.has_room().map_err(|kind| (kind, "verify.refused"))?;
        let (verified, contents) = self.verify(artifact, tx, id)?;
        // Who offers a library by name wants it loaded, whatever is in it.
        if *reason != SwapReason::Offered
            && let Some(current) = self.is_running(&verified)
        {
            let line = Line::info("build.same").field("version", current.number());
            self.core.journal.write(Some(tx), line.field("code", verified.code));
            return Ok(Admitted::Same(current));
        }
        // Before anything lies there: what is refused from here on leaves no directory behind either.
        if !self.homes.contains(&artifact.home) {
            self.homes.push(artifact.home.clone());
        }
        let start = clock::now();
        let file = stage::stage(artifact, &contents).map_err(|kind| (kind, "stage.refused"))?;
        let line = Line::info("stage.ok").field("path", file.path().display());
        self.core.journal.write(Some(tx), line.field("stage_us", clock::since(start).as_micros()));
        drop(contents);
        let version = self.load(&verified, file, newcomer, id)?;
        // The last thing that may refuse it: from here on it becomes current.
        let from = Some(self.core.current()).filter(|current| *current != NO_VERSION);
        let line = Line::info("swap.intent").maybe("from", from.map(VersionId::number));
        self.announce(tx, line.field("to", id.number())).map_err(|kind| (kind, "swap.abort"))?;
        Ok(Admitted::Ready(version))
    }

    /// Writes down what is about to happen. What cannot be written down does not happen, unless the host wants it to.
    fn announce(&self, tx: &Tx, line: Line) -> Result<(), LoadErrorKind> {
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
    /// debug information aside.
    fn is_running(&self, verified: &Verified) -> Option<VersionId> {
        let current = self.core.slot.load();
        (current.provenance.code == Some(verified.code)).then_some(current.id)
    }

    /// Reads the file once and checks everything that its bytes can tell.
    fn verify(
        &self,
        artifact: &Artifact,
        tx: &Tx,
        id: VersionId,
    ) -> Result<(Verified, stage::Contents), Refusal> {
        let start = clock::now();
        let verify = || {
            let contents = stage::read(artifact)?;
            let verified = verify::verify(&artifact.path, &contents.bytes)?;
            if verified.content != artifact.content {
                return Err(LoadErrorKind::Content {
                    expected: artifact.content,
                    found: verified.content,
                });
            }
            self.core.expectations.check_file(&verified, id)?;
            let named = verified.needs().map(|need| need.name.as_str());
            provides_named(&self.core, named, id)?;
            Ok((verified, contents))
        };
        let (verified, contents) = verify().map_err(|kind| (kind, "verify.refused"))?;
        let line = Line::info("verify.ok")
            .field("sha256", verified.content)
            .field("bytes", verified.bytes)
            .field("exports", verified.exports.len())
            .field("rustc", &verified.root.rustc)
            .field("verify_us", clock::since(start).as_micros());
        self.core.journal.write(Some(tx), line);
        Ok((verified, contents))
    }

    /// Maps the library, connects it, and checks what only a loaded image can tell.
    fn load(
        &mut self,
        verified: &Verified,
        file: stage::Staged,
        newcomer: &Newcomer,
        id: VersionId,
    ) -> Result<Arc<Version>, Refusal> {
        let Newcomer { artifact, tx, .. } = newcomer;
        let start = clock::now();
        // Loading it runs code of it: its constructors and hooks.
        self.announce(tx, Line::info("load.intent").field("to", id.number()))
            .map_err(|kind| (kind, "load.refused"))?;
        let context = Arc::new(ImageContext::of(&self.core));
        let (image, functions) = Image::load(verified, file, Arc::clone(&context))
            .map_err(|kind| (kind, "load.refused"))?;
        self.mapped_count += 1;
        self.staged.push(image.path().to_owned());
        let needs = image.needs();
        let version = Arc::new(Version {
            id,
            exports: functions.exports,
            provenance: Provenance {
                fingerprint: Some(artifact.fingerprint),
                content: Some(artifact.content),
                code: Some(verified.code),
                bytes: artifact.bytes,
                build_time: artifact.build_time,
                load_time: clock::since(start),
            },
            since: clock::wall(),
            holds: context.holds(),
            image: Some(image),
            retire: self.retire.clone(),
            was_current: AtomicBool::new(false),
            linked: None,
        });
        context.attach(&version);
        // A refusal from here on drops the version, which sends its image back to be unmapped.
        let core = &self.core;
        core.expectations
            .check_loaded(|name| version.exports.get(name), id)
            .and_then(|()| provides(core, needs, id))
            .and_then(|()| hook::run(&version, &functions.on_load, core.load_deadline))
            .map_err(|kind| (kind, "load.refused"))?;
        let line = Line::info("load.ok").field("load_us", clock::since(start).as_micros());
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
