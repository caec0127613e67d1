//! What a source is called on the command line, and how it is built.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use hotswap_engine::{Engine, EngineBuilder, Profile, Source};

use crate::check;
use crate::failure::Failure;
use crate::trust::{self, Location, TrustArguments};

/// What is source on standard input.
const STDIN: &str = "-";

/// What is built, and how.
#[derive(Debug, Default, Args)]
pub(crate) struct SourceArguments {
    /// The directory of a module crate, a single .rs file, a prebuilt library, a release (`https://HOST/PATH#MODULE`, `DIRECTORY#MODULE`, `DATABASE#MODULE`), `sqlite:DATABASE#MODULE`, or `-` for a file on standard input
    #[arg(value_name = "SOURCE")]
    pub(crate) path: PathBuf,

    /// Where the module comes from as long as SOURCE has none; may be repeated
    #[arg(long, value_name = "SOURCE")]
    or_else: Vec<PathBuf>,

    /// Builds with the release profile
    #[arg(long, conflicts_with = "profile")]
    release: bool,

    /// Builds with this profile of the manifest: dev, say, with all that a debugger wants [default: hot, which is dev with the quickest settings for the module itself]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Features of the module's crate to turn on
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    features: Vec<String>,

    /// Builds with exactly the lock file
    #[arg(long)]
    locked: bool,

    /// Builds without network
    #[arg(long)]
    offline: bool,

    /// Where builds go [default: target/hotswap beside the module's Cargo.lock]
    #[arg(long, value_name = "DIR")]
    pub(crate) target_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) trust: TrustArguments,
}

impl SourceArguments {
    /// The source at this path, the rest as by default.
    pub(crate) fn of(path: PathBuf) -> Self {
        Self { path, ..Self::default() }
    }

    /// An engine's settings as these arguments want them. Reads standard input where that is the source.
    pub(crate) fn builder(&self) -> Result<EngineBuilder, Failure> {
        let mut builder = Engine::builder(self.source()?).features(&self.features);
        if self.release {
            builder = builder.profile(Profile::Release);
        }
        if let Some(name) = &self.profile {
            builder = builder.profile(profile(name));
        }
        if self.locked {
            builder = builder.locked();
        }
        if self.offline {
            builder = builder.offline();
        }
        if let Some(directory) = &self.target_dir {
            builder = builder.target_dir(directory);
        }
        Ok(builder)
    }

    /// The source, if the only one is there already.
    fn source(&self) -> Result<Source, Failure> {
        let all = || std::iter::once(&self.path).chain(&self.or_else);
        if self.trust.is_given() && !all().any(|text| location(text).is_some()) {
            return Err(anyhow!(
                "{} is no release, and nothing of it is verified; --key, --pin and --unsigned are for https://HOST/PATH#MODULE, DIRECTORY#MODULE and DATABASE#MODULE",
                self.path.display()
            )
            .into());
        }
        if self.or_else.is_empty() {
            if self.is_path() {
                check::is_there(&self.path)?;
            }
            return source(&self.path, &self.trust);
        }
        // Any of them may come later.
        let all: Vec<Source> =
            all().map(|text| source(text, &self.trust)).collect::<Result<_, _>>()?;
        Ok(Source::chain(all).into())
    }

    /// Whether it is a path, and no name of something else.
    pub(crate) fn is_path(&self) -> bool {
        !self.is_stdin() && location(&self.path).is_none()
    }

    /// Whether it comes from standard input.
    pub(crate) fn is_stdin(&self) -> bool {
        self.path == Path::new(STDIN)
    }

    /// The module in one word, for lines about it.
    pub(crate) fn name(&self) -> String {
        if self.is_stdin() {
            return "stdin".to_owned();
        }
        if let Some(location) = location(&self.path) {
            return location.module().to_owned();
        }
        let name = std::path::absolute(&self.path).ok();
        let name = name.as_deref().and_then(|path| path.file_name());
        name.unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// All of standard input.
pub(crate) fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text)
}

/// Where a module lies, if it is no path.
fn location(text: &Path) -> Option<Location<'_>> {
    text.to_str().and_then(Location::of)
}

fn source(text: &Path, trust: &TrustArguments) -> Result<Source, Failure> {
    if text == Path::new(STDIN) {
        return Ok(Source::string(read_stdin()?).into());
    }
    Ok(match location(text) {
        None => Source::from(text),
        Some(Location::Database(path, module)) if !trust.is_given() => {
            trust::row(path, module)?.into()
        }
        Some(location) => trust.releases(location)?.into(),
    })
}

fn profile(name: &str) -> Profile {
    match name {
        "hot" => Profile::Hot,
        "dev" => Profile::Dev,
        name => Profile::Named(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> String {
        SourceArguments::of(path.into()).name()
    }

    #[test]
    fn a_module_is_named_by_the_last_part_of_its_source() {
        assert_eq!(name("some/game"), "game");
        assert_eq!(name("rules.rs"), "rules.rs");
        assert_eq!(name("sqlite:some/modules.db#game"), "game");
        assert_eq!(name("site/#game"), "game");
        assert_eq!(name("https://host/modules#game"), "game");
        assert_eq!(name("-"), "stdin");
        let here = std::env::current_dir().unwrap();
        assert_eq!(name("."), here.file_name().unwrap().to_string_lossy());
    }

    #[test]
    fn a_module_of_a_database_has_both_names() {
        for wrong in ["sqlite:modules.db", "sqlite:#game"] {
            let error = source(Path::new(wrong), &TrustArguments::default()).unwrap_err();
            let text = error.text(crate::paint::Paint::Plain);
            assert!(text.contains("sqlite:DATABASE#MODULE"), "{text}");
        }
        let error =
            source(Path::new("sqlite:modules.db#../game"), &TrustArguments::default()).unwrap_err();
        let text = error.text(crate::paint::Paint::Plain);
        assert!(text.contains("no name of a module"), "{text}");
    }
}
