//! An edit of a crate that many modules share: until all of them run it, beside what cargo takes for the same workspace.

use std::fmt::Write as _;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotswap_engine::{Modules, log_lines};

use crate::command::{cargo_in, run};
use crate::timed::Timed;
use crate::workshop::root;
use crate::{Outcome, Workshop};

/// Only what is asked for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// A workspace of modules, and a crate that each depends on.
#[derive(Debug)]
struct SharedCrate {
    directory: PathBuf,
    names: Vec<String>,
    mark: String,
    edits: u64,
}

impl SharedCrate {
    /// Writes it. `role` names who builds it: each builder has a copy of its own.
    fn new(workshop: &Workshop, role: &str, count: usize) -> Outcome<Self> {
        let directory = workshop.directory(&format!("{role}_of_{count}"))?;
        let module = root().join("engine/module");
        fs::write(
            directory.join("Cargo.toml"),
            "[workspace]\nmembers = [\"shared\", \"modules/*\"]\nresolver = \"3\"\n",
        )?;
        fs::copy(root().join("Cargo.lock"), directory.join("Cargo.lock"))?;
        let shared = Self {
            names: (0..count).map(|number| format!("m{number}")).collect(),
            directory,
            mark: workshop.mark(),
            edits: 0,
        };
        shared.write("shared/Cargo.toml", &manifest("shared", ""))?;
        shared.write_shared()?;
        for name in &shared.names {
            let dependencies = format!(
                "hotswap-module = {{ path = {module:?} }}\nshared = {{ path = \"../../shared\" }}\n\n\
                 [lib]\ncrate-type = [\"cdylib\"]\n"
            );
            shared.write(&format!("modules/{name}/Cargo.toml"), &manifest(name, &dependencies))?;
            let text = format!(
                "//! Written by a bench: {}.\n\nuse hotswap_module::export;\n\nhotswap_module::module!();\n\n\
                 /// Which edit of the shared crate this was built with.\n#[export]\npub fn version() -> u64 {{\n    \
                 shared::version(\"{name}\")\n}}\n",
                shared.mark
            );
            shared.write(&format!("modules/{name}/src/lib.rs"), &text)?;
        }
        Ok(shared)
    }

    fn write(&self, file: &str, text: &str) -> Outcome<()> {
        let path = self.directory.join(file);
        fs::create_dir_all(path.parent().ok_or("a file lies in a directory")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Writes the shared crate anew.
    fn edit(&mut self) -> Outcome<u64> {
        self.edits += 1;
        self.write_shared()?;
        Ok(self.edits)
    }

    fn write_shared(&self) -> Outcome<()> {
        let mut text = format!("//! Written by a bench: {}.\n\n", self.mark);
        let number = self.edits;
        let _ = write!(
            text,
            "/// Which edit this is.\npub fn version(_of: &str) -> u64 {{\n    {number}\n}}\n"
        );
        self.write("shared/src/lib.rs", &text)
    }
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}"
    )
}

/// Modules that share a crate, in one registry.
#[derive(Debug)]
pub struct SharedInRegistry {
    shared: SharedCrate,
    modules: Modules,
    log: PathBuf,
}

impl SharedInRegistry {
    /// Writes, builds and loads so many. Blocks for the compiler.
    ///
    /// # Errors
    ///
    /// When one does not build.
    pub fn open(workshop: &Workshop, count: usize) -> Outcome<Self> {
        let shared = SharedCrate::new(workshop, "registry", count)?;
        let log = shared.directory.join("hotswap.log");
        let target = workshop.target("shared");
        let modules = Modules::builder(shared.directory.join("modules"))
            .poll_every(RARELY)
            .log_file(&log)
            .each(move |_, engine| engine.target_dir(&target))
            .open()?;
        for name in &shared.names {
            modules.load(name)?;
        }
        Ok(Self { shared, modules, log })
    }

    /// Edits the shared crate, and waits until each module answers with the edit.
    ///
    /// # Errors
    ///
    /// When one does not.
    pub fn edit(&mut self) -> Outcome<Duration> {
        let number = self.shared.edit()?;
        let start = Instant::now();
        for (name, verdict) in self.modules.reload_all() {
            verdict.map_err(|error| format!("{name}: {error}"))?;
        }
        for name in &self.shared.names {
            let found: u64 = self.modules.get(name)?.call_with("version", ())?;
            if found != number {
                return Err(format!("{name}: edit {found}, not {number}").into());
            }
        }
        Ok(start.elapsed())
    }

    /// For criterion and the report.
    pub fn timed(&mut self) -> Timed<'_> {
        let count = self.shared.names.len();
        Timed::new(format!("edit until it is called, {count} modules"), |rounds| {
            (0..rounds).map(|_| self.edit()).sum()
        })
    }

    /// How many builds there were since the start for each edit, and by whom.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn builds(&self) -> Outcome<Builds> {
        let lines: Vec<_> =
            log_lines(BufReader::new(fs::File::open(&self.log)?)).flatten().collect();
        let built = lines.iter().filter(|line| line.event == "build.ok");
        // The first build of each is none of an edit.
        let built: Vec<_> = built.skip(self.shared.names.len()).collect();
        let by_cargo = built.iter().filter(|line| line.field("by") == Some("cargo")).count();
        Ok(Builds { edits: self.shared.edits, builds: built.len(), by_cargo })
    }
}

/// How often something was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builds {
    /// Edits of the shared crate.
    pub edits: u64,
    /// Modules that were built for them, all together.
    pub builds: usize,
    /// Those for which cargo ran.
    pub by_cargo: usize,
}

/// The same workspace, built by a person.
#[derive(Debug)]
pub struct SharedByCargo {
    shared: SharedCrate,
    target: PathBuf,
}

impl SharedByCargo {
    /// Writes it and builds it for the first time.
    ///
    /// # Errors
    ///
    /// When it does not build.
    pub fn open(workshop: &Workshop, count: usize) -> Outcome<Self> {
        let shared = SharedCrate::new(workshop, "cargo", count)?;
        let target = workshop.target("shared_by_cargo");
        cargo_build(&shared.directory, &target)?;
        Ok(Self { shared, target })
    }

    /// `cargo build --workspace` of an edit: the floor.
    pub fn timed(&mut self) -> Timed<'_> {
        let count = self.shared.names.len();
        Timed::new(format!("cargo build --workspace, {count} modules (floor)"), |rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                self.shared.edit()?;
                total += cargo_build(&self.shared.directory, &self.target)?;
            }
            Ok(total)
        })
    }
}

fn cargo_build(directory: &Path, target: &Path) -> Outcome<Duration> {
    let mut command = cargo_in(directory, target);
    command.arg("--workspace");
    let start = Instant::now();
    run(&mut command)?;
    Ok(start.elapsed())
}
