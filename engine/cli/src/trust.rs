//! Releases of others: where they lie, and by what they are believed, as it is said on the command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use hotswap_engine::ContentHash;
use hotswap_engine::delivery::Releases;
use hotswap_engine::http::HttpSource;
use hotswap_engine::sqlite::SqliteSource;
use hotswap_trust::{PublicKeys, Trust};

use crate::keys::{self, PUBLIC};

/// What a web server gets to know who asks by, for machines.
const TOKEN_VARIABLE: &str = "HOTSWAP_TOKEN";

/// What the text of a source begins with that is a module of a database.
const SQLITE: &str = "sqlite:";

/// Where a module lies that is no path, by the text that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location<'a> {
    /// `https://HOST/PATH#MODULE`.
    Web(&'a str),
    /// `DIRECTORY#MODULE`.
    Directory(&'a str, &'a str),
    /// `sqlite:DATABASE#MODULE`, or without the prefix where there is such a file.
    Database(&'a str, &'a str),
}

impl<'a> Location<'a> {
    /// What begins as an address or a database, or is no path that is there and has a `#` in it. A module has none in its name.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Some(Self::Web(text));
        }
        let is_path = Path::new(text).exists();
        let database = text.strip_prefix(SQLITE);
        let (place, module) = database.unwrap_or(text).rsplit_once('#').unwrap_or((text, ""));
        match database {
            Some(_) => Some(Self::Database(if module.is_empty() { "" } else { place }, module)),
            None if is_path || place.is_empty() || module.is_empty() => None,
            None if Path::new(place).is_file() => Some(Self::Database(place, module)),
            None => Some(Self::Directory(place, module)),
        }
    }

    /// The module.
    pub(crate) fn module(self) -> &'a str {
        match self {
            Self::Web(address) => address.rsplit_once('#').map_or(address, |(_, module)| module),
            Self::Directory(_, module) | Self::Database(_, module) => module,
        }
    }
}

/// A module of a database, verified by nobody.
pub(crate) fn row(database: &str, module: &str) -> anyhow::Result<SqliteSource> {
    if database.is_empty() {
        return Err(anyhow!("{SQLITE}{database} names no module; write {SQLITE}DATABASE#MODULE"));
    }
    Ok(SqliteSource::new(database, module)?)
}

/// What is believed.
#[derive(Debug, Clone, Default, Args)]
#[command(
    next_help_heading = "Releases of others (https://HOST/PATH#MODULE, DIRECTORY#MODULE, DATABASE#MODULE)"
)]
pub(crate) struct TrustArguments {
    /// Takes what this key signed: a public key (RWQ..), or the name or file of one; may be repeated
    #[arg(long, value_name = "KEY", conflicts_with_all = ["pin", "unsigned"])]
    key: Vec<String>,

    /// Takes the one release whose manifest has this SHA-256
    #[arg(long, value_name = "SHA256", conflicts_with = "unsigned")]
    pin: Option<ContentHash>,

    /// Believes whoever can write there, and whoever is on the way
    #[arg(long)]
    unsigned: bool,

    /// The channel, also of a release that is published [default: stable]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,

    /// Shows the web server the token in the first line of this file [default: $HOTSWAP_TOKEN, or nothing]
    #[arg(long, value_name = "FILE")]
    bearer_file: Option<PathBuf>,

    /// Believes the web server by these certificates alone, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Asks other machines without TLS, so that anybody on the way sees what runs and can withhold it
    #[arg(long)]
    plain_http: bool,

    /// Has the web server answer when there is something new, where it can
    #[arg(long)]
    long_poll: bool,
}

impl TrustArguments {
    /// Whether anything is said of who is believed.
    pub(crate) fn is_given(&self) -> bool {
        !self.key.is_empty() || self.pin.is_some() || self.unsigned
    }

    /// Whether a channel is named.
    pub(crate) fn has_channel(&self) -> bool {
        self.channel.is_some()
    }

    /// The same, of this channel, whatever is said.
    pub(crate) fn on(&self, channel: &str) -> Self {
        Self { channel: Some(channel.to_owned()), ..self.clone() }
    }

    /// The releases that lie there.
    pub(crate) fn releases(&self, location: Location<'_>) -> anyhow::Result<Releases> {
        let trust = self.trust()?;
        match location {
            Location::Directory(path, module) => Ok(Releases::in_directory(path, module, trust)?),
            Location::Database(path, module) => Ok(row(path, module)?.trusting(trust)?),
            Location::Web(address) => {
                let mut source = HttpSource::new(address, trust)?;
                if let Some(token) = self.token()? {
                    source = source.bearer(&token);
                }
                if let Some(path) = &self.ca_file {
                    source = source.ca_file(path);
                }
                if self.plain_http {
                    source = source.plain_http();
                }
                if self.long_poll {
                    source = source.long_poll();
                }
                Ok(source.into())
            }
        }
    }

    fn token(&self) -> anyhow::Result<Option<String>> {
        match &self.bearer_file {
            Some(path) => first_line(path).map(Some),
            None => Ok(std::env::var(TOKEN_VARIABLE).ok().filter(|text| !text.is_empty())),
        }
    }

    /// Whom a host believes that is told this.
    fn trust(&self) -> anyhow::Result<Trust> {
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

    /// The channel of releases.
    pub(crate) fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or(hotswap_trust::DEFAULT_CHANNEL)
    }
}

/// What a file has to say in its first line: a password, a token.
pub(crate) fn first_line(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(anyhow!("the first line of {shown} is empty")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_named_by_address_or_directory_and_module() {
        let of = Location::of;
        let address = "https://host/modules#greet";
        assert_eq!(of(address), Some(Location::Web(address)));
        assert_eq!(of(address).unwrap().module(), "greet");
        assert_eq!(of("a#b/site#greet"), Some(Location::Directory("a#b/site", "greet")));
        assert_eq!(of("sqlite:a#b.db#game"), Some(Location::Database("a#b.db", "game")));
        assert_eq!(of("Cargo.toml#greet"), Some(Location::Database("Cargo.toml", "greet")));
        for wrong in ["sqlite:modules.db", "sqlite:#game"] {
            assert!(matches!(of(wrong), Some(Location::Database("", _))), "{wrong}");
        }
        for other in ["greet", "greet.rs", "#greet", "site#"] {
            assert_eq!(of(other), None, "{other}");
        }
        let directory = std::env::temp_dir().join(format!("hotswap#{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let is_there = of(directory.to_str().unwrap());
        fs::remove_dir(&directory).unwrap();
        assert_eq!(is_there, None, "what is there is a path");
    }
}
