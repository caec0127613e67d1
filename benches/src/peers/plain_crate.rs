//! The generated module as a plain library, for those who know nothing of modules.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::command::{cargo_in, run};
use crate::module_crate::{ModuleCrate, Size};
use crate::{Outcome, Workshop};

/// Who loads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    Watched,
    Relib,
}

impl Role {
    const fn package(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Watched => "watched",
            Self::Relib => "with_relib",
        }
    }
}

/// 48 lines with C functions.
#[derive(Debug)]
pub(super) struct PlainCrate {
    module: ModuleCrate,
    role: Role,
    target: PathBuf,
}

impl PlainCrate {
    pub(super) fn new(workshop: &Workshop, role: Role) -> Outcome<Self> {
        let module = ModuleCrate::new(workshop, role.package(), Size::Small)?;
        let relib = match role {
            Role::Relib => "relib_module = { version = \"0.7\", features = [\"unloading\"] }\n",
            Role::Plain | Role::Watched => "",
        };
        let manifest = format!(
            "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
             [dependencies]\n{relib}\n[workspace]\n",
            role.package()
        );
        fs::write(module.directory().join("Cargo.toml"), manifest)?;
        let plain = Self { module, role, target: workshop.target(role.package()) };
        plain.build(0)?;
        Ok(plain)
    }

    pub(super) const fn package(&self) -> &'static str {
        self.role.package()
    }

    pub(super) fn library(&self) -> PathBuf {
        self.target.join(format!("debug/lib{}.so", self.package()))
    }

    pub(super) fn edit(&self, number: u64) -> Outcome<()> {
        let text = self.module.source(number);
        let mut text = text
            .replace("use hotswap_module::export;\n\nhotswap_module::module!();\n\n", "")
            .replace("#[export]\npub fn", "#[unsafe(no_mangle)]\npub extern \"C\" fn");
        text.push_str("\n#[unsafe(no_mangle)]\npub extern \"C\" fn add(a: u64, b: u64) -> u64 {\n    a + b\n}\n");
        if self.role == Role::Relib {
            text.push_str("\n#[relib_module::export]\nfn main() -> u64 {\n    version()\n}\n");
        }
        fs::write(self.module.directory().join("src/lib.rs"), text)?;
        Ok(())
    }

    pub(super) fn cargo_build(&self) -> Outcome<()> {
        run(&mut cargo_in(self.module.directory(), &self.target)).map(drop)
    }

    pub(super) fn build(&self, number: u64) -> Outcome<()> {
        self.edit(number)?;
        self.cargo_build()
    }

    pub(super) fn timed_build(&self, number: u64) -> Outcome<Duration> {
        self.edit(number)?;
        let start = Instant::now();
        self.cargo_build()?;
        Ok(start.elapsed())
    }
}
