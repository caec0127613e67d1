//! How many versions may be mapped beside those that are wanted, and what happens to a newcomer beyond.

use std::fmt;

use crate::pin::Pin;
use crate::version_id::VersionId;

/// What happens to a newcomer while there are as many extra versions as there may be: versions that are neither current nor kept
/// for a rollback, but still in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CapPolicy {
    /// It becomes current. Who holds the others is told: for development, where one thread pool too many is no reason to stop.
    #[default]
    Warn,
    /// It waits until one of them goes, and becomes current then, without being asked; the newest waits, and no other. Who holds
    /// them is told: for production.
    Queue,
    /// It is refused, until somebody asks again ([`Engine::reload`](crate::Engine::reload)) or the source changes.
    Refuse,
}

impl fmt::Display for CapPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warn => "warn",
            Self::Queue => "queue",
            Self::Refuse => "refuse",
        })
    }
}

/// How many extra versions there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cap {
    pub(crate) max: usize,
    pub(crate) policy: CapPolicy,
}

impl Default for Cap {
    /// Eight: far more than calls and guards hold in a program that lets go of them.
    fn default() -> Self {
        Self { max: 8, policy: CapPolicy::default() }
    }
}

/// The extra versions, when there are as many as there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Crowd {
    /// How many there are.
    pub count: usize,
    /// What becomes of the newcomer.
    pub policy: CapPolicy,
    /// Who holds them, the oldest first; eight of them at most.
    pub held_by: Vec<(VersionId, Vec<Pin>)>,
}

impl Crowd {
    /// How many of the versions are named.
    pub(crate) const NAMED_MAX: usize = 8;

    /// Who holds them, in words.
    pub(crate) fn holders(&self) -> String {
        let held_by = self.held_by.iter().map(|(version, pins)| {
            let pins: Vec<_> = pins.iter().map(ToString::to_string).collect();
            // The last one let go just now.
            let pins = if pins.is_empty() { "nobody any more".to_owned() } else { pins.join(", ") };
            format!("{version}: {pins}")
        });
        let mut texts: Vec<_> = held_by.collect();
        let more = self.count.saturating_sub(texts.len());
        if more > 0 {
            texts.push(format!("and {more} more"));
        }
        texts.join("; ")
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, policy, .. } = self;
        let holders = self.holders();
        write!(f, "{count} versions besides are still in use ({holders}), as many as may be; ")?;
        f.write_str(match policy {
            CapPolicy::Warn => "the new one becomes current all the same",
            CapPolicy::Queue => "the new one waits until one of them goes",
            CapPolicy::Refuse => "the new one can be tried again when one of them is gone",
        })
    }
}
