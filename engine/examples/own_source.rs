//! A source of one's own: a directory of releases, `1.rs`, `2.rs` and so on, of which the last runs.
//! `cargo run -p hotswap-engine --example own_source`.

use std::fs;
use std::path::{Path, PathBuf};

use hotswap_engine::{Engine, Fetch, FetchError, Fetched, Fingerprint, Source};

/// The directory.
#[derive(Debug)]
struct Releases(PathBuf);

impl Releases {
    /// The number of the last release, and its text.
    fn last(&self) -> std::io::Result<Option<(u64, String)>> {
        let entries = fs::read_dir(&self.0)?.collect::<Result<Vec<_>, _>>()?;
        let number = |path: PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
        let last = entries.iter().filter_map(|entry| number(entry.path())).max();
        let read = |number| fs::read_to_string(self.0.join(format!("{number}.rs")));
        last.map(|number| Ok((number, read(number)?))).transpose()
    }
}

impl Fetch for Releases {
    fn kind(&self) -> &'static str {
        "releases"
    }

    fn name(&self) -> &str {
        "greet"
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        let last = self.last().map_err(|error| {
            // What runs goes on, and it is tried again.
            FetchError::unavailable("no releases").caused_by(error)
        })?;
        Ok(last.map(|(_, text)| Fingerprint::of(text.as_bytes())))
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let failed = |error| FetchError::unavailable("cannot be fetched").caused_by(error);
        let (number, text) =
            self.last().map_err(failed)?.ok_or_else(|| FetchError::unavailable("no release"))?;
        let file = directory.join("greet.rs");
        fs::write(&file, &text).map_err(failed)?;
        let mut fetched = Fetched::new(Fingerprint::of(text.as_bytes()), file);
        fetched.note = format!("release {number}");
        Ok(fetched)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let release = |number: u64| {
        let text = format!(
            "hotswap_module::module!();\n#[hotswap_module::export]\npub fn version() -> u64 {{ {number} }}\n"
        );
        fs::write(directory.path().join(format!("{number}.rs")), text)
    };
    release(1)?;
    let source = Source::fetched(Releases(directory.path().into()));
    let engine = Engine::builder(source).without_log().open()?;
    println!("release {}", engine.call_with::<u64>("version", ())?);
    release(2)?;
    engine.sync()?;
    println!("release {}", engine.call_with::<u64>("version", ())?);
    Ok(())
}
