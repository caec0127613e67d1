//! What a client asked for.

use crate::manifest::{CodeKind, DEFAULT_CHANNEL, Manifest};

/// What a manifest has to be for, so that a good one of something else is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// The module.
    pub module: String,
    /// The channel.
    pub channel: String,
    /// This host's target triple.
    pub target: String,
    /// The boundary of this engine, in the engine's words.
    pub abi: String,
    /// This host's compiler, as `rustc --version` says it.
    pub toolchain: String,
    /// What alone is taken, on a host that builds nothing; `None` for whatever there is.
    pub kind: Option<CodeKind>,
    /// The lowest release that the host takes, whatever manifests say.
    pub floor: u64,
}

impl Wanted {
    /// A module on the channel `stable`, of any kind and number, for this host.
    #[must_use]
    pub fn new(
        module: impl Into<String>,
        target: impl Into<String>,
        abi: impl Into<String>,
        toolchain: impl Into<String>,
    ) -> Self {
        Self {
            module: module.into(),
            channel: DEFAULT_CHANNEL.to_owned(),
            target: target.into(),
            abi: abi.into(),
            toolchain: toolchain.into(),
            kind: None,
            floor: 0,
        }
    }

    /// What differs: its name, what was wanted, and what there is.
    pub(crate) fn difference(&self, manifest: &Manifest) -> Option<(&'static str, String, String)> {
        let pairs = [
            ("module", Some(&self.module), Some(&manifest.module)),
            ("channel", Some(&self.channel), Some(&manifest.channel)),
            ("target", Some(&self.target), manifest.target.as_ref()),
            ("abi", Some(&self.abi), manifest.abi.as_ref()),
            ("toolchain", Some(&self.toolchain), manifest.toolchain.as_ref()),
        ];
        let kind = self.kind.map(|kind| kind.to_string());
        let found = manifest.kind.to_string();
        let pairs = pairs.into_iter().chain([("kind", kind.as_ref(), Some(&found))]);
        pairs.into_iter().find_map(|(what, wanted, found)| match (wanted, found) {
            (Some(wanted), Some(found)) if wanted != found => {
                Some((what, wanted.clone(), found.clone()))
            }
            // Whichever there is, or whichever is wanted.
            _ => None,
        })
    }
}
