//! One version of a module: its exports, where they came from, and what becomes of it.

use std::ffi::c_void;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use crossbeam_channel::Sender;
use hotswap_artifact::{ContentHash, Fingerprint};
use hotswap_module::__private::short;
use hotswap_module::VersionChange;
use hotswap_system::clock;

use crate::export::ExportInfo;
use crate::exports::{Exports, Found};
use crate::hook::{HookKind, Hooks, Moment};
use crate::image::Image;
use crate::pin::Holds;
use crate::services::ImageContext;
use crate::siblings::Siblings;
use crate::verify::Shape;
use crate::version_id::{NO_VERSION, VersionId};

/// Where a version came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) content: Option<ContentHash>,
    /// Its number among the releases of its source, when it was loaded.
    pub(crate) release: Option<u64>,
    /// What is mapped of it, from outside.
    pub(crate) shape: Option<Shape>,
    pub(crate) bytes: u64,
    pub(crate) build_time: Duration,
    pub(crate) load_time: Duration,
    /// Where it is said what it was built from.
    pub(crate) report: Option<PathBuf>,
}

/// Code that can be called. Kept by `Arc`s: whoever holds one keeps the code mapped, and dropping the last one sends the
/// image to the swapper, which alone unmaps. A call names it in a slot instead; then `Draining` holds the `Arc` for it.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) id: VersionId,
    pub(crate) exports: Exports,
    pub(crate) hooks: Hooks,
    /// Whether its load hooks were begun: from then on there may be something for the last ones to undo.
    pub(crate) was_started: AtomicBool,
    pub(crate) provenance: Provenance,
    pub(crate) since: SystemTime,
    /// The mapped library; `None` for linked code and for no code at all.
    pub(crate) image: Option<Image>,
    pub(crate) retire: Sender<Retired>,
    pub(crate) holds: Arc<Holds>,
    /// Whether it ever was current.
    pub(crate) was_current: AtomicBool,
    /// What belongs with it, once it is replaced.
    pub(crate) siblings: Siblings,
    /// What linked code is called with; `None` for a loaded image, which has its own.
    pub(crate) linked: Option<Arc<ImageContext>>,
}

/// A version that nobody can enter any more.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) id: VersionId,
    /// `None` for linked code.
    pub(crate) image: Option<Image>,
    /// What runs before it goes.
    pub(crate) before_unload: Option<Moment>,
    pub(crate) holds: Arc<Holds>,
    /// Whether it ever was current; a refused one gave its number back.
    pub(crate) was_current: bool,
}

impl Version {
    /// The version that stands for no code.
    pub(crate) fn none(retire: Sender<Retired>) -> Self {
        Self {
            id: NO_VERSION,
            exports: Exports::loaded(),
            hooks: Hooks::default(),
            was_started: AtomicBool::new(false),
            provenance: Provenance::default(),
            since: clock::wall(),
            image: None,
            retire,
            holds: Arc::default(),
            was_current: AtomicBool::new(false),
            siblings: Siblings::default(),
            linked: None,
        }
    }

    /// What it exports, by name.
    pub(crate) fn export_list(&self) -> Vec<ExportInfo> {
        let info = |(name, found): (&str, Found<'_>)| ExportInfo {
            name: name.to_owned(),
            signature: short(&found.export.signature.text()),
            deadline: found.deadline,
        };
        let mut list: Vec<_> = self.exports.iter().map(info).collect();
        list.sort_by(|left, right| left.name.cmp(&right.name));
        list
    }

    /// What the host keeps about its code; `None` where there is none.
    pub(crate) fn context(&self) -> Option<&Arc<ImageContext>> {
        self.image.as_ref().map(Image::context).or(self.linked.as_ref())
    }

    /// What linked code finds its engine by.
    #[inline]
    pub(crate) fn linked_context(&self) -> Option<*const c_void> {
        self.linked.as_ref().map(|context| Arc::as_ptr(context).cast())
    }

    /// Its hooks of one kind, to be run.
    pub(crate) fn moment(&self, kind: HookKind, change: VersionChange) -> Moment {
        let hooks = match kind {
            HookKind::OnLoad => &self.hooks.on_load,
            HookKind::AfterSwap => &self.hooks.after_swap,
            HookKind::BeforeUnload => &self.hooks.before_unload,
        };
        Moment { kind, hooks: hooks.clone(), change, linked: self.linked.clone() }
    }

    /// The export whose name differs least from `name`, if one is near.
    pub(crate) fn similar(&self, name: &str) -> Option<String> {
        self.exports
            .iter()
            .map(|(known, _)| (distance(name, known), known))
            .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
            .min()
            .map(|(_, known)| known.to_owned())
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        if let Some(context) = &self.linked {
            context.let_go(false);
        }
        let change = VersionChange::new(Some(self.id.number()), None);
        let before_unload =
            self.was_started.get_mut().then(|| self.moment(HookKind::BeforeUnload, change));
        let before_unload = before_unload.filter(|moment| !moment.hooks.is_empty());
        let image = self.image.take();
        if image.is_none() && before_unload.is_none() {
            return;
        }
        let retired = Retired {
            id: self.id,
            image,
            before_unload,
            holds: Arc::clone(&self.holds),
            was_current: *self.was_current.get_mut(),
        };
        if let Err(unsent) = self.retire.send(retired) {
            // No swapper is left to unmap it. Unmapping on this thread could pull the code
            // away under its own return address: keep it mapped instead.
            mem::forget(unsent);
        }
    }
}

/// Edit distance, for suggestions: insertions, deletions, replacements.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, character) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("f1", "f1"), 0);
        assert_eq!(distance("f1", "f2"), 1);
        assert_eq!(distance("add", "dad"), 2);
        assert_eq!(distance("", "add"), 3);
    }
}
