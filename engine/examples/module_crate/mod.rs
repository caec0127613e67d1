//! A module crate in the temporary directory, for examples that edit one. It is removed when it is dropped.

use std::path::{Path, PathBuf};
use std::{fs, io};

pub(crate) struct ModuleCrate {
    path: PathBuf,
}

impl ModuleCrate {
    /// Writes a crate of this name.
    pub(crate) fn new(name: &str, source: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("src"))?;
        let module = Self { path };
        let hotswap_module = concat!(env!("CARGO_MANIFEST_DIR"), "/module");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [workspace]\n\n[dependencies]\nhotswap-module = {{ path = {hotswap_module:?} }}\n"
        );
        fs::write(module.path.join("Cargo.toml"), manifest)?;
        module.write(source)?;
        Ok(module)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What an editor does when it saves.
    pub(crate) fn write(&self, source: &str) -> io::Result<()> {
        fs::write(self.path.join("src/lib.rs"), source)
    }
}

impl Drop for ModuleCrate {
    fn drop(&mut self) {
        // Whoever runs an example has an answer already.
        let _ = fs::remove_dir_all(&self.path);
    }
}
