//! Whom releases of others are believed by, as it is said on the command line.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use clap::Args;
use hotswap_engine::ContentHash;
use hotswap_trust::{PublicKeys, Trust};

use crate::keys::{self, PUBLIC};

/// What is believed.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Releases")]
pub(crate) struct TrustArguments {
    /// Takes what this key signed: a public line, or the name or file of a public key; may be repeated
    #[arg(long, value_name = "KEY", conflicts_with_all = ["pin", "unsigned"])]
    key: Vec<String>,

    /// Takes the one release whose manifest has this SHA-256
    #[arg(long, value_name = "SHA256", conflicts_with = "unsigned")]
    pin: Option<ContentHash>,

    /// Believes whoever can write there, and whoever is on the way
    #[arg(long)]
    unsigned: bool,

    /// The line of releases [default: stable]
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: Option<String>,
}

impl TrustArguments {
    /// Whom a host believes that is told this.
    pub(crate) fn trust(&self) -> anyhow::Result<Trust> {
        let trust = match (&*self.key, self.pin) {
            ([], Some(manifest)) => Trust::pinned(manifest),
            ([], None) if self.unsigned => Trust::anybody(),
            ([], None) => {
                return Err(anyhow!(
                    "who made the release has to be known: say --key KEY, --pin SHA256 of its manifest, or --unsigned to believe anybody"
                ));
            }
            (keys, _) => Trust::keys(public(keys)?),
        };
        Ok(match &self.channel {
            Some(channel) => trust.channel(channel),
            None => trust,
        })
    }

    /// The line of releases, if it is not the usual one.
    pub(crate) fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or(hotswap_trust::DEFAULT_CHANNEL)
    }
}

/// All keys that are named.
fn public(keys: &[String]) -> anyhow::Result<PublicKeys> {
    let mut lines = String::new();
    for key in keys {
        if PublicKeys::parse("--key", key).is_ok() {
            lines += key;
        } else {
            let path = keys::file(Path::new(key), PUBLIC)?;
            let shown = path.display();
            let text = fs::read_to_string(&path).with_context(|| {
                format!("--key {key} is no public key, and {shown} cannot be read")
            })?;
            // Says which file it is, if it is none.
            PublicKeys::parse(shown.to_string(), &text)?;
            lines += &text;
        }
        lines.push('\n');
    }
    Ok(PublicKeys::parse("--key", &lines)?)
}
