//! Runs the scripts of `tests/cases`: what happens to one real module, as data.
//!
//! ```text
//! # A comment.
//! module v1
//! | #[export] pub fn f1() -> u64 { 1 }
//! write v1
//! open
//! call f1 = 1
//! write broken
//! sync refused cannot find value
//! log build.fail
//! ```
//!
//! | command | what it does |
//! | --- | --- |
//! | `module NAME`, then lines that begin with a bar | a text for `write`, with the lines every module has in front |
//! | `file` | the module is a single `.rs` file and not a crate |
//! | `write NAME` | replaces the source |
//! | `touch` | writes the source again as it is |
//! | `open` | opens the engine |
//! | `open refused TEXT` | opening fails, and says so |
//! | `sync swapped`, `sync unchanged`, `sync refused TEXT` | everything written is considered, with this verdict |
//! | `rollback swapped`, `rollback refused TEXT` | goes back to the version before |
//! | `clear`, `freeze` | clears the quarantine, freezes the engine |
//! | `hold NAME` | keeps a handle `fn() -> u64` open |
//! | `release` | drops all handles |
//! | `call NAME = NUMBER` | calls a `fn() -> u64` by name |
//! | `held = NUMBER` | calls all handles |
//! | `version N` | the current version's number |
//! | `log EVENT [KEY=TEXT]..` | the log has, after the last line found, a line of this event |
//! | `nolog EVENT` | the log has no such line at all |

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hotswap_engine::{Engine, EngineBuilder, Function, ReloadError, Verdict};

use crate::fixture::{CrateFixture, FileFixture};
use crate::log_lines::log_lines;

/// What every module of a script begins with.
const HEAD: &str = "use hotswap_module::export;\nhotswap_module::module!();\n";

/// Runs the script at `path`.
///
/// # Panics
///
/// At the first line whose expectation is not met, naming it.
pub fn run(path: &Path) {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.file_stem().expect("a script has a name").to_string_lossy().replace('-', "_");
    let mut stage = Stage::new(&format!("case_{name}"));
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let place = format!("{}:{}: {line}", path.display(), index + 1);
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if command.is_empty() || command.starts_with('#') {
            continue;
        }
        if command == "module" {
            let mut source = HEAD.to_owned();
            while let Some((_, body)) = lines.next_if(|(_, line)| line.starts_with('|')) {
                source.push_str(body[1..].trim_start());
                source.push('\n');
            }
            stage.modules.insert(rest.to_owned(), source);
            continue;
        }
        if let Err(problem) = stage.step(command, rest) {
            panic!("{place}\n{problem}\n{}", stage.log_text());
        }
    }
}

/// Where the module lives.
enum Place {
    Crate(CrateFixture),
    File(FileFixture),
}

/// A script under way. The engine goes first when it ends.
struct Stage {
    engine: Option<Engine>,
    handles: Vec<Function<fn() -> u64>>,
    name: String,
    place: Option<Place>,
    is_file: bool,
    modules: BTreeMap<String, String>,
    log: PathBuf,
    log_seen: usize,
    present: String,
    _directory: tempfile::TempDir,
}

type Step = Result<(), String>;

impl Stage {
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self {
            engine: None,
            handles: Vec::new(),
            name: name.to_owned(),
            place: None,
            is_file: false,
            modules: BTreeMap::new(),
            log: directory.path().join("hotswap.log"),
            log_seen: 0,
            present: String::new(),
            _directory: directory,
        }
    }

    fn step(&mut self, command: &str, rest: &str) -> Step {
        match command {
            "file" => self.is_file = true,
            "write" => {
                let source = self.modules.get(rest).ok_or("no module of this name")?.clone();
                self.write(source);
            }
            "touch" => self.write(self.present.clone()),
            "open" => return self.open(rest),
            "sync" => {
                let verdict = self.engine()?.sync();
                return expect_verdict(&verdict, rest);
            }
            "reload" => {
                let verdict = self.engine()?.reload();
                return expect_verdict(&verdict, rest);
            }
            "rollback" => {
                let verdict = self.engine()?.rollback();
                return expect_verdict(&verdict, rest);
            }
            "freeze" => self.engine()?.freeze(),
            "clear" => drop(self.engine()?.clear_quarantine()),
            "hold" => {
                let handle = self.engine()?.function(rest).map_err(|error| error.to_string())?;
                self.handles.push(handle);
            }
            "release" => self.handles.clear(),
            "call" => {
                let (name, number) = rest.split_once(" = ").ok_or("write: call NAME = NUMBER")?;
                return same(self.engine()?.call_with::<u64>(name, ()), number);
            }
            "held" => {
                let number = rest.trim_start_matches("= ");
                return self.handles.iter().try_for_each(|handle| same(handle.call(), number));
            }
            "version" => {
                let found = self.engine()?.version().number().to_string();
                return (found == rest).then_some(()).ok_or(format!("v{found} is current"));
            }
            "log" => return self.find_line(rest),
            "nolog" => {
                let found = log_lines(&self.log).into_iter().find(|line| line.event == rest);
                return found.map_or(Ok(()), |line| Err(format!("{line:?}")));
            }
            _ => return Err("no such command".to_owned()),
        }
        Ok(())
    }

    fn engine(&self) -> Result<&Engine, String> {
        self.engine.as_ref().ok_or_else(|| "the engine is not open".to_owned())
    }

    fn write(&mut self, source: String) {
        match &self.place {
            Some(Place::Crate(fixture)) => fixture.edit(&source),
            Some(Place::File(fixture)) => fixture.edit(&source),
            None if self.is_file => {
                self.place = Some(Place::File(FileFixture::new(&self.name, &source)))
            }
            None => self.place = Some(Place::Crate(CrateFixture::new(&self.name, &source))),
        }
        self.present = source;
    }

    fn builder(&self) -> Result<EngineBuilder, String> {
        let builder = match &self.place {
            Some(Place::Crate(fixture)) => fixture.engine(),
            Some(Place::File(fixture)) => fixture.engine(),
            None => return Err("nothing was written yet".to_owned()),
        };
        Ok(builder.log_file(&self.log))
    }

    fn open(&mut self, rest: &str) -> Step {
        match (self.builder()?.open(), rest.strip_prefix("refused ")) {
            (Ok(engine), None) => {
                self.engine = Some(engine);
                Ok(())
            }
            (Err(error), Some(text)) => {
                mentions(&chain(&error), error.diagnostics().map(ToString::to_string), text)
            }
            (Ok(_), Some(_)) => Err("it opened".to_owned()),
            (Err(error), None) => Err(format!("{}\n{:?}", chain(&error), error.diagnostics())),
        }
    }

    fn find_line(&mut self, rest: &str) -> Step {
        let mut words = rest.split(' ');
        let event = words.next().unwrap_or_default();
        let pairs: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
        let lines = log_lines(&self.log);
        let found = lines.iter().enumerate().skip(self.log_seen).find(|(_, line)| {
            line.event == event && pairs.iter().all(|(key, text)| line.field(key).contains(text))
        });
        match found {
            Some((index, _)) => {
                self.log_seen = index + 1;
                Ok(())
            }
            None => Err(format!("no such line after line {}", self.log_seen)),
        }
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn same(found: Result<u64, hotswap_engine::CallError>, number: &str) -> Step {
    match found {
        Ok(found) if found.to_string() == number => Ok(()),
        other => Err(format!("it gave {other:?}")),
    }
}

fn expect_verdict(verdict: &Result<Verdict, ReloadError>, wanted: &str) -> Step {
    match (verdict, wanted.split_once(' ').unwrap_or((wanted, ""))) {
        (Ok(verdict), ("swapped", _)) if verdict.is_swapped() => Ok(()),
        (Ok(Verdict::Unchanged { .. }), ("unchanged", _)) => Ok(()),
        (Err(error), ("refused", text)) => {
            mentions(&chain(error), error.diagnostics().map(ToString::to_string), text)
        }
        (Err(error), _) => Err(format!("{}\n{:?}", chain(error), error.diagnostics())),
        (Ok(verdict), _) => Err(verdict.to_string()),
    }
}

fn mentions(error: &str, diagnostics: Option<String>, text: &str) -> Step {
    let diagnostics = diagnostics.unwrap_or_default();
    if error.contains(text) || diagnostics.contains(text) {
        Ok(())
    } else {
        Err(format!("it says: {error}\n{diagnostics}"))
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
