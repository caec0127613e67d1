//! A release on its way from a place through the cache to who asked for it.

use std::io;
use std::path::{Path, PathBuf};

use hotswap_artifact::{FetchError, FetchErrorKind, Source};
use hotswap_system::fs;
use hotswap_trust::{CodeKind, FileEntry, FileError, Trust};

use super::cache::{Cache, Given, create, make_place, unwritten};
use super::mirrors::{Mirrors, all_failed};
use super::release::Release;

/// What there is to hand a release over with.
pub(super) struct HandOver<'a> {
    pub(super) cache: &'a Cache,
    pub(super) trust: &'a Trust,
    pub(super) module: &'a str,
    /// Empty, and of who asked.
    pub(super) directory: &'a Path,
    pub(super) mirrors: &'a mut Mirrors,
    pub(super) is_over: &'a dyn Fn() -> bool,
}

/// How a release lies in the directory of who asked: a file, a library, or the directory of a crate, with the module's name.
pub(super) fn code(release: &Release, module: &str, directory: &Path) -> Source {
    let place = directory.join(module);
    match release.verified.kind {
        CodeKind::Crate => Source::Crate(place),
        CodeKind::File => Source::File(place.with_extension("rs")),
        _ => Source::Prebuilt(place.with_extension("so")),
    }
}

/// Where a file of it goes. Makes the directories above it.
pub(super) fn place_in(code: &Source, file: &FileEntry) -> Result<PathBuf, FetchError> {
    match code {
        Source::Crate(top) => make_place(top, file.path.as_path()),
        other => Ok(other.location().to_owned()),
    }
}

impl HandOver<'_> {
    /// Copies what is kept, or fetches it before.
    pub(super) fn fetch(&mut self, release: &Release, place: usize) -> Result<(), FetchError> {
        // Without its manifest it would be no help when places are down.
        if self.cache.has_manifest(release, self.trust) && self.copied(release)?.is_none() {
            return Ok(());
        }
        self.clear()?;
        self.download(release, place)?;
        self.copy(release)
    }

    /// Copies what is kept. What is damaged is removed.
    pub(super) fn copy(&mut self, release: &Release) -> Result<(), FetchError> {
        match self.copied(release)? {
            None => Ok(()),
            Some(damage) => {
                self.clear()?;
                self.cache.remove(release);
                Err(FetchError::unavailable(damage))
            }
        }
    }

    /// Removes what was copied.
    pub(super) fn clear(&self) -> Result<(), FetchError> {
        let removed = match fs::remove_dir_all(self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_private_dir_all(self.directory),
        };
        removed.map_err(|error| unwritten(self.directory, error))
    }

    /// Copies what is kept; why that cannot be done, if it is not there or damaged.
    fn copied(&self, release: &Release) -> Result<Option<String>, FetchError> {
        let code = code(release, self.module, self.directory);
        for file in release.handed_over()? {
            let to = place_in(&code, file)?;
            if let Given::No(why) = self.cache.copy(release, file, &to)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Fetches all files into the cache, or nothing. What an earlier release has is taken from there.
    fn download(&mut self, release: &Release, place: usize) -> Result<(), FetchError> {
        let staging = self.cache.stage()?;
        let kept = self.cache.kept(self.trust);
        for file in &release.verified.files {
            let to = staging.place(file)?;
            if !self.cache.copy_same(&kept, file, &to)? {
                self.download_file(release, file, &to, place)?;
            }
        }
        self.cache.install(&staging, release, self.trust)
    }

    /// Fetches a file from the first place that gives what was signed: that of the manifest before all others.
    fn download_file(
        &mut self,
        release: &Release,
        file: &FileEntry,
        to: &Path,
        first: usize,
    ) -> Result<(), FetchError> {
        let mut order = self.mirrors.order(true);
        order.sort_by_key(|place| *place != first);
        let mut failures = Vec::new();
        for index in order {
            if (self.is_over)() {
                return Err(FetchError::unavailable("nobody waits for it any more"));
            }
            match self.download_from(index, release, file, to) {
                Ok(()) => return Ok(()),
                Err(Failure::Own(error)) => return Err(error),
                Err(Failure::Place(error)) => {
                    self.mirrors.pass_over(index);
                    failures.push(error);
                }
            }
        }
        // Not a refusal, which would be for good: the file may be right at the next attempt.
        let mut error = all_failed(failures);
        error.kind = FetchErrorKind::Unavailable;
        Err(error)
    }

    fn download_from(
        &self,
        index: usize,
        release: &Release,
        file: &FileEntry,
        to: &Path,
    ) -> Result<(), Failure> {
        let place = self.mirrors.place(index);
        let lie = |error: FileError| FetchError::unavailable(format!("{}: {error}", place.name()));
        let check = release.verified.file_check(file.path.as_str());
        let mut check = check.map_err(|error| Failure::Place(lie(error)))?;
        let mut copy = create(to).map_err(Failure::Own)?;
        let (mut own, mut is_lie) = (None, false);
        let received = place.file(file, &mut |bytes| {
            check.update(bytes).map_err(|error| {
                is_lie = true;
                lie(error)
            })?;
            copy.write_all(bytes).map_err(|error| {
                let error = unwritten(to, error);
                own = Some(error.clone());
                error
            })
        });
        if let Some(error) = own {
            return Err(Failure::Own(error));
        }
        let received = received.map_err(|error| {
            // The place knows it by its hash alone.
            let text = format!("cannot fetch {} of {}", file.path, release.verified.described());
            if is_lie { error } else { FetchError::unavailable(text).caused_by(error) }
        });
        received.and_then(|()| check.finish().map_err(lie)).map_err(Failure::Place)
    }
}

/// Why a file cannot be had.
enum Failure {
    /// Because of this disk: another place would not help.
    Own(FetchError),
    /// Because of the place.
    Place(FetchError),
}
