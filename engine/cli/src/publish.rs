//! `hotswap publish`: a module becomes a revision in a database.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use hotswap_engine::sqlite::{Code, CrateArchive, ModuleDatabase, Publication, Revision};
use hotswap_engine::{Source, VersionState};

use crate::arguments::PublishArguments;
use crate::check;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
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
    let name = name(arguments)?;
    let code =
        if arguments.prebuilt { build(arguments, screen, interrupts)? } else { read(arguments)? };
    let mut database = ModuleDatabase::create(&arguments.to).map_err(anyhow::Error::new)?;
    let mut publication = Publication::new(&name, code)
        .by(arguments.by.clone().unwrap_or_else(user))
        .why(&arguments.why)
        .keep(arguments.keep);
    if let Some(revision) = arguments.expect {
        publication = publication.expecting(revision);
    }
    for line in &arguments.dependency {
        publication = publication.dependency(line);
    }
    let revision = database.publish(&publication).map_err(anyhow::Error::new)?;
    println!("{}", published(&name, &revision));
    Ok(ExitCode::SUCCESS)
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

/// The library that it builds into, after everything that is checked before code runs.
fn build(
    arguments: &PublishArguments,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<Code, Failure> {
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
    let path = if stored.is_file() { stored } else { arguments.source.path.clone() };
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Code::Library(bytes))
}
