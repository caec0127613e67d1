//! `hotswap publish`: a module becomes a release in a directory, or a revision in a database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use hotswap_engine::delivery::{Contents, DirectoryShelf, Published, Release, Shelf};
use hotswap_engine::sqlite::{Code, CrateArchive, ModuleDatabase, Publication, Revision};
use hotswap_engine::{ABI_NUMBER, Host, RUSTC, Source, TARGET, VersionState};

use crate::arguments::{PublishArguments, ReleaseArguments, RevisionArguments};
use crate::check;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::keys;
use crate::narrator::{Narrator, Told};
use crate::screen::Screen;
use crate::source::read_stdin;

/// Where builds go whose libraries are published, unless it is said.
const TARGET_DIR: &str = "target/hotswap";

/// Publishes, and says what.
pub(crate) fn publish(
    arguments: &PublishArguments,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<ExitCode, Failure> {
    let ReleaseArguments { sign, renew, .. } = &arguments.release;
    let shelf: Box<dyn Shelf> = match Destination::of(&arguments.to) {
        Destination::Database(path) if sign.is_empty() && !renew => {
            return revision(arguments, &path, screen, interrupts);
        }
        Destination::Database(path) => {
            Box::new(ModuleDatabase::create(path).map_err(anyhow::Error::new)?)
        }
        Destination::Directory(path) => Box::new(DirectoryShelf::new(path)),
    };
    release(arguments, shelf, screen, interrupts)
}

/// Where it goes.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    Database(PathBuf),
    Directory(PathBuf),
}

impl Destination {
    /// A database is a file, or may become one by its name.
    fn of(text: &Path) -> Self {
        let path = text.to_owned();
        let is_named_so = text.extension().is_some_and(|ending| ending == "db");
        let ends_as_directory = text.to_string_lossy().ends_with('/');
        if path.is_file() || (is_named_so && !ends_as_directory && !path.is_dir()) {
            Self::Database(path)
        } else {
            Self::Directory(path)
        }
    }
}

/// A revision in a database.
fn revision(
    arguments: &PublishArguments,
    database: &Path,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<ExitCode, Failure> {
    let ReleaseArguments { password, expires, floor, .. } = &arguments.release;
    // Of a source that is a release it is the channel of that.
    let has_channel = arguments.source.trust.has_channel()
        && (arguments.source.is_path() || arguments.source.is_stdin());
    if expires.is_some() || floor.is_some() || password.password_file.is_some() || has_channel {
        return Err(anyhow!(
            "--expires, --floor, --channel and --password-file are of releases; what goes into a database is one with --sign KEY"
        )
        .into());
    }
    let name = name(arguments)?;
    let code =
        if arguments.prebuilt { build(arguments, screen, interrupts)? } else { read(arguments)? };
    let mut database = ModuleDatabase::create(database).map_err(anyhow::Error::new)?;
    let RevisionArguments { by, why, dependency, keep } = &arguments.revision;
    let mut publication =
        Publication::new(&name, code).by(by.clone().unwrap_or_else(user)).why(why);
    if let Some(revisions) = keep {
        publication = publication.keep(*revisions);
    }
    if let Some(revision) = arguments.expect {
        publication = publication.expecting(revision);
    }
    for line in dependency {
        publication = publication.dependency(line);
    }
    let revision = database.publish(&publication).map_err(anyhow::Error::new)?;
    println!("{}", published(&name, &revision));
    Ok(ExitCode::SUCCESS)
}

/// A release, in a directory or a database.
fn release(
    arguments: &PublishArguments,
    mut shelf: Box<dyn Shelf>,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<ExitCode, Failure> {
    let RevisionArguments { by, why, dependency, keep } = &arguments.revision;
    if by.is_some() || !why.is_empty() || !dependency.is_empty() || keep.is_some() {
        return Err(anyhow!(
            "--by, --why, --dependency and --keep are of revisions in a database that nobody signs; no release has them"
        )
        .into());
    }
    let ReleaseArguments { sign, password, expires, floor, renew } = &arguments.release;
    let name = name(arguments)?;
    // Asked for before a build that takes its time.
    let keys: Vec<_> =
        sign.iter().map(|key| keys::secret(key, password)).collect::<Result<_, _>>()?;
    let mut release = if *renew {
        Release::renew(&name)
    } else {
        Release::new(&name, contents(arguments, &name, screen, interrupts)?)
            .floor(floor.unwrap_or(0))
    };
    release = release.channel(arguments.source.trust.channel());
    if let Some(time) = expires {
        release = release.expires_in(*time);
    }
    if let Some(number) = arguments.expect {
        release = release.expecting(number);
    }
    let is_signed = !keys.is_empty();
    release = keys.into_iter().fold(release, Release::signed_by);
    let done = release.publish(&mut *shelf).map_err(anyhow::Error::new)?;
    println!("{}", released(&name, &done));
    if let Some(why) = &done.unremembered {
        screen.print(&format!(
            "it was published, and that is not remembered here ({why}): an older one that somebody puts there would not be told"
        ));
    }
    if !is_signed {
        screen.print(
            "nobody signs it: hosts take it only if they believe whoever can write there (--unsigned); sign with --sign KEY",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// One line about a new release.
fn released(name: &str, release: &Published) -> String {
    let Published { counter, hash, expires, signers, files, bytes, .. } = release;
    let files = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let keys: Vec<_> = signers.iter().map(|key| format!("key {key}")).collect();
    let by = if keys.is_empty() { "by nobody".to_owned() } else { keys.join(" and ") };
    format!(
        "{name} is at release {counter}: {files}, {bytes} bytes, signed {by}, expires {expires}, manifest {hash}"
    )
    .replace("signed key", "signed by key")
}

/// The files of a release.
fn contents(
    arguments: &PublishArguments,
    name: &str,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<Contents, Failure> {
    let path = &arguments.source.path;
    let source = Source::from(path);
    if arguments.prebuilt || matches!(source, Source::Prebuilt(_)) {
        let library = library(arguments, screen, interrupts)?;
        let host = Host::new(TARGET, ABI_NUMBER.to_string(), RUSTC);
        // In the store it is called by its hash.
        let file_name = format!("lib{name}.so");
        let contents = Contents::prebuilt(library, host).and_then(|all| all.named(&file_name));
        return Ok(contents.map_err(anyhow::Error::new)?);
    }
    if !arguments.source.is_path() {
        return Err(anyhow!(
            "{} is no file; with --prebuilt its library is published",
            path.display()
        )
        .into());
    }
    check::is_there(path)?;
    let contents = match source {
        Source::File(_) => Contents::file(path),
        _ => Contents::package(path),
    };
    let contents = contents.map_err(anyhow::Error::new)?;
    if let Some(path) = contents.module_crate() {
        screen.print(&format!(
            "it finds hotswap-module in {}: hosts can build it where theirs lies there, too; others need the library (--prebuilt)",
            path.display()
        ));
    }
    Ok(contents)
}

/// One line about a new revision.
pub(crate) fn published(name: &str, revision: &Revision) -> String {
    let Revision { number, kind, bytes, sha256, .. } = revision;
    let short = &sha256[..sha256.len().min(12)];
    format!("{name} is at revision {number}: {kind}, {bytes} bytes, sha256 {short}")
}

/// Who does this, by what the system says.
pub(crate) fn user() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default()
}

fn name(arguments: &PublishArguments) -> Result<String, Failure> {
    if let Some(name) = &arguments.name {
        return Ok(name.clone());
    }
    if arguments.source.is_stdin() {
        return Err(anyhow!("what comes from standard input needs a name: --name NAME").into());
    }
    let name = Source::from(&arguments.source.path).module_name();
    Ok(name.with_context(|| {
        format!("{} gives no name; add --name NAME", arguments.source.path.display())
    })?)
}

/// The code as it lies there.
fn read(arguments: &PublishArguments) -> Result<Code, Failure> {
    if arguments.source.is_stdin() {
        return Ok(Code::Text(read_stdin()?));
    }
    let path = &arguments.source.path;
    if !arguments.source.is_path() {
        let name = path.display();
        return Err(anyhow!(
            "{name} is in a database already; with --prebuilt its library is published"
        )
        .into());
    }
    check::is_there(path)?;
    let context = || format!("cannot read {}", path.display());
    Ok(match Source::from(path) {
        Source::File(_) => Code::Text(fs::read_to_string(path).with_context(context)?),
        Source::Prebuilt(_) => Code::Library(fs::read(path).with_context(context)?),
        _ => Code::Crate(CrateArchive::pack(path).with_context(context)?),
    })
}

/// The library that it builds into, as bytes.
fn build(
    arguments: &PublishArguments,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<Code, Failure> {
    let path = library(arguments, screen, interrupts)?;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Code::Library(bytes))
}

/// The library that it builds into, after everything that is checked before code runs.
fn library(
    arguments: &PublishArguments,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<PathBuf, Failure> {
    let target_dir = arguments.source.target_dir.clone();
    let target_dir = target_dir.unwrap_or_else(|| PathBuf::from(TARGET_DIR));
    let builder = arguments.source.builder()?.target_dir(&target_dir).without_log();
    let (builder, events) = builder.cancel_on(interrupts.cancelled()).subscribe();
    let narrator =
        Narrator::start(arguments.source.name(), events, Arc::clone(screen), Told::Progress)
            .context("cannot start a thread")?;
    // The narrator ends with the engine.
    let opened = builder.open().map(|engine| engine.versions());
    narrator.finish();
    let current = opened?.into_iter().find(|found| found.state == VersionState::Current);
    let content = current.and_then(|version| version.content).context("nothing was built")?;
    let stored =
        target_dir.join("store").join(format!("{content}{}", std::env::consts::DLL_SUFFIX));
    // A library that was not built but lay there is not in the store.
    Ok(if stored.is_file() { stored } else { arguments.source.path.clone() })
}
