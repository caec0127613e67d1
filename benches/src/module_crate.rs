//! Module crates that are generated, built and edited: some forty lines, the same with serde, and 2,000 lines.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workshop::root;
use crate::{Outcome, Workshop};

/// What kind of module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Size {
    /// A few exports.
    Small,
    /// A few exports, and types that derive serde's traits.
    Serde,
    /// Many functions.
    Large,
}

impl Size {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Small, Self::Serde, Self::Large];

    /// What it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "48 lines",
            Self::Serde => "48 lines with serde",
            Self::Large => "2,000 lines",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Serde => "with_serde",
            Self::Large => "large",
        }
    }

    const fn lines(self) -> usize {
        match self {
            Self::Small | Self::Serde => 48,
            Self::Large => 2_000,
        }
    }
}

/// A module crate of a workspace of its own.
#[derive(Debug)]
pub struct ModuleCrate {
    /// What kind.
    pub size: Size,
    directory: PathBuf,
    mark: String,
}

impl ModuleCrate {
    /// Writes it, with version 0. `role` names who builds it: each builder has a copy of its own.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn new(workshop: &Workshop, role: &str, size: Size) -> Outcome<Self> {
        let directory = workshop.directory(&format!("{role}_{}", size.package()))?;
        fs::create_dir_all(directory.join("src"))?;
        fs::write(directory.join("Cargo.toml"), manifest(size))?;
        // The releases of the repository: nothing is resolved anew.
        fs::copy(root().join("Cargo.lock"), directory.join("Cargo.lock"))?;
        let written = Self { size, directory, mark: workshop.mark() };
        written.edit(0)?;
        Ok(written)
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes `src/lib.rs` anew, in place: one line in the middle differs. `version()` of it gives this number.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn edit(&self, number: u64) -> Outcome<()> {
        fs::write(self.directory.join("src/lib.rs"), self.source(number))?;
        Ok(())
    }

    /// The text of one edit.
    pub(crate) fn source(&self, number: u64) -> String {
        let mut text = format!(
            "//! Written by a bench: {}.\n\nuse hotswap_module::export;\n\nhotswap_module::module!();\n\n",
            self.mark
        );
        if self.size == Size::Serde {
            text.push_str(SERDE);
        }
        let version = format!(
            "/// Which edit this is.\n#[export]\npub fn version() -> u64 {{\n    {number}\n}}\n"
        );
        let lines = self.size.lines();
        let mut part = 0;
        while text.lines().count() < lines / 2 {
            function(&mut text, part);
            part += 1;
        }
        text.push_str(&version);
        while text.lines().count() + 5 < lines {
            function(&mut text, part);
            part += 1;
        }
        text
    }
}

/// Seven lines that are not quite like any other seven.
fn function(text: &mut String, part: usize) {
    let export = if part.is_multiple_of(10) { "#[export]\n" } else { "#[must_use]\n" };
    let _ = write!(
        text,
        "{export}pub fn part_{part}(value: u64) -> u64 {{\n    let text = format!(\"{{value}} {part}\");\n    \
         let odd: u64 = text.bytes().map(u64::from).filter(|byte| byte % 2 == 1).sum();\n    odd ^ {part}\n}}\n\n"
    );
}

const SERDE: &str = r#"/// What is read and written.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Order {
    /// Whose.
    pub customer: String,
    /// What, and how often.
    pub items: Vec<(String, u32)>,
    /// Whether somebody pays for it.
    pub paid: Option<u64>,
}

"#;

fn manifest(size: Size) -> String {
    let module = root().join("engine/module");
    let serde = match size {
        Size::Serde => "serde = { version = \"1\", features = [\"derive\"] }\n",
        Size::Small | Size::Large => "",
    };
    format!(
        "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\nhotswap-module = {{ path = {module:?} }}\n{serde}\n[workspace]\n",
        size.package()
    )
}
