//! A release that is taken as it is, by who believes whoever has put it there.

use std::path::Path;

use hotswap_artifact::{FetchError, Fetched};
use hotswap_trust::{FileError, Trust};

use super::Place;
use super::cache::{create, unwritten};
use super::hand_over::{code, place_in};
use super::release::Release;

/// Writes the files of a release into a directory, held against its manifest, which nobody vouches for. Nothing is remembered of it.
pub(crate) fn fetch_believed(
    place: &dyn Place,
    manifest: Vec<u8>,
    module: &str,
    directory: &Path,
) -> Result<Fetched, FetchError> {
    let release = Release::read(place.name(), manifest, &Trust::anybody())?;
    if release.verified.module != module {
        return Err(FetchError::refused(format!(
            "{} is a release of {}",
            place.name(),
            release.verified.module
        )));
    }
    let code = code(&release, module, directory);
    let lie = |error: FileError| FetchError::unavailable(format!("{}: {error}", place.name()));
    for file in release.handed_over()? {
        let to = place_in(&code, file)?;
        let mut check = release.verified.file_check(file.path.as_str()).map_err(lie)?;
        let mut copy = create(&to)?;
        place.file(file, &mut |bytes| {
            check.update(bytes).map_err(lie)?;
            copy.write_all(bytes).map_err(|error| unwritten(&to, error))
        })?;
        check.finish().map_err(lie)?;
    }
    let mut fetched = Fetched::new(release.fingerprint(), code);
    fetched.note = release.verified.described();
    fetched.release = Some(release.verified.counter);
    fetched.content = release.content()?;
    fetched.is_foreign = release.is_built();
    Ok(fetched)
}
