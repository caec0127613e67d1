//! `hotswap verify`: a release is checked as a host would.

use std::io::{self, Write as _, stdout};
use std::path::{Component, Path};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use hotswap_engine::FetchError;
use hotswap_engine::delivery::{Answer, Place};
use hotswap_trust::{MANIFEST_NAME, Signed, Timestamp, Trust, Verified};

use crate::arguments::VerifyArguments;
use crate::failure::Failure;
use crate::trust::Location;

/// Verifies one release, and says what it is.
pub(crate) fn verify(arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let what = &arguments.what;
    let releases = if let Some((base, module, channel)) = of_manifest(Path::new(what)) {
        arguments.trust.on(channel).releases(Location::Directory(base, module))?
    } else if let Some(location) = Location::of(what) {
        arguments.trust.releases(location)?
    } else {
        return Err(anyhow!(
            "{what} names no release: write DIRECTORY#MODULE, DATABASE#MODULE, https://HOST/PATH#MODULE, or the path of a {MANIFEST_NAME}"
        )
        .into());
    };
    let place = releases.places().first().context("releases lie somewhere")?;
    let release = manifest(&**place, releases.trust())?;
    say(&heading(&release))?;
    if release.module != releases.module() || release.channel != releases.trust().wanted_channel() {
        return Err(anyhow!(
            "{} is no release of {} ({})",
            release.described(),
            releases.module(),
            releases.trust().wanted_channel()
        )
        .into());
    }
    let mut broken = 0;
    for entry in &release.files {
        let verdict = match file(&**place, &release, entry.path.as_str()) {
            Ok(()) => format!("ok  {}  {}  {} bytes", entry.path, entry.hash, entry.bytes),
            Err(error) => {
                broken += 1;
                format!("BAD {}: {}", entry.path, all(&error))
            }
        };
        say(&verdict)?;
    }
    if broken > 0 {
        let (files, described) = (release.files.len(), release.described());
        return Err(
            anyhow!("{broken} of {files} files are not what was released: {described}").into()
        );
    }
    let now = Timestamp::now();
    if release.expires < now {
        return Err(anyhow!(
            "{} expired at {}: no host takes it for the newest any more; publish its files again (`hotswap publish`)",
            release.described(),
            release.expires
        )
        .into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The base, the module and the channel of a manifest that lies where one does.
fn of_manifest(path: &Path) -> Option<(&str, &str, &str)> {
    if path.file_name()? != MANIFEST_NAME {
        return None;
    }
    let channel = path.parent()?;
    let module = channel.parent()?;
    let name = |path: &'_ Path| match path.components().next_back() {
        Some(Component::Normal(_)) => Some(()),
        _ => None,
    };
    name(channel).and(name(module))?;
    let base = match module.parent()?.to_str()? {
        "" => ".",
        base => base,
    };
    Some((base, module.file_name()?.to_str()?, channel.file_name()?.to_str()?))
}

fn manifest(place: &dyn Place, trust: &Trust) -> anyhow::Result<Verified> {
    let bytes = match place.manifest()? {
        Answer::Manifest(bytes) => bytes,
        _ => return Err(anyhow!("{} has no releases", place.name())),
    };
    let signed = Signed::read(place.name(), &bytes)?;
    Ok(trust.verify(signed)?)
}

fn heading(release: &Verified) -> String {
    let level = release.level();
    let mut text = format!(
        "{}\n{level}: {}; {} release of {}, expires {}, manifest {}",
        release.described(),
        level.description(),
        release.kind,
        release.module,
        release.expires,
        release.hash(),
    );
    if release.floor > 0 {
        text.push_str(&format!(", nothing below {} may run", release.floor));
    }
    for (name, value) in
        [("target", &release.target), ("abi", &release.abi), ("toolchain", &release.toolchain)]
    {
        if let Some(value) = value {
            text.push_str(&format!("\nfor {name} {value}"));
        }
    }
    text
}

fn file(place: &dyn Place, release: &Verified, path: &str) -> Result<(), FetchError> {
    let refused = |error: hotswap_trust::FileError| FetchError::refused(error.to_string());
    let entry = release.file(path).ok_or_else(|| FetchError::refused("it is in no release"))?;
    let mut check = release.file_check(path).map_err(refused)?;
    place.file(entry, &mut |bytes| check.update(bytes).map_err(refused))?;
    check.finish().map_err(refused)
}

/// An error and what is behind it.
fn all(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" ({error})"));
        cause = error.source();
    }
    text
}

fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(stdout().lock(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
