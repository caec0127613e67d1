//! What is remembered, on disk: a file for each subject, whole or an error.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use hotswap_artifact::{ContentHash, ContentHasher};
use hotswap_system::directory::{Directory, NotPrivate};
use hotswap_system::fs::{self, File};

use super::{Accepted, TrustState};
use crate::lines::{LineError, Lines, number};
use crate::manifest::{PREVIOUS_RULE, Previous};

/// The longest file, in bytes. A dozen lines, of which the source's is the longest.
const STATE_BYTES_MAX: u64 = 16 * 1024;

const FIRST: &str = "hotswap trust v1";

/// Who holds it may read and write what lies beside it.
const LOCK_NAME: &str = ".lock";

/// Of what something is remembered: a module on a channel, from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    source: String,
    module: String,
    channel: String,
}

impl Subject {
    /// A module on a channel, from a source: an address or a path, without credentials, for it is written down. It has to be the same
    /// whenever the same source is meant: mirrors of one another are one source.
    #[must_use]
    pub fn new(source: impl AsRef<str>, module: impl AsRef<str>, channel: impl AsRef<str>) -> Self {
        Self {
            source: one_line(source.as_ref()),
            module: one_line(module.as_ref()),
            channel: one_line(channel.as_ref()),
        }
    }

    /// The name of its file. Modules are named for who looks, the rest tells them apart.
    fn file_name(&self) -> String {
        let mut hasher = ContentHasher::new();
        for part in [&self.source, &self.module, &self.channel] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let hash = hasher.finish().to_string();
        let named = self.module.chars().filter(char::is_ascii_alphanumeric).take(40);
        format!("{}-{}.trust", named.collect::<String>(), &hash[..32])
    }
}

/// The longest text of a subject, in bytes; of what is longer the end is told by its hash.
const TEXT_BYTES_MAX: usize = 2_000;

/// Other texts have other lines, and no line is long.
fn one_line(text: &str) -> String {
    let line = text.escape_debug().to_string();
    if line.len() <= TEXT_BYTES_MAX {
        return line;
    }
    let start: String = line.chars().take(TEXT_BYTES_MAX / 8).collect();
    format!("{start}.. {}", ContentHash::of(text.as_bytes()))
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}) from {}", self.module, self.channel, self.source)
    }
}

/// A private directory in which a client remembers what it accepted.
///
/// It is no cache: who removes it can be given older releases again, down to the floor that the host names. Keep it elsewhere.
#[derive(Debug, Clone)]
pub struct TrustStore {
    directory: PathBuf,
}

/// What is remembered cannot be read or written. Nothing new is taken until it can: what runs goes on.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
#[non_exhaustive]
pub struct StateError {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: StateErrorKind,
}

/// What can be wrong with what is remembered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateErrorKind {
    /// The system says no.
    #[error("cannot {doing} what is remembered of releases ({error})")]
    Io {
        /// What was to be done.
        doing: &'static str,
        /// What the system answered.
        error: io::Error,
    },
    /// Others may write there.
    #[error(
        "what is remembered of releases lies where other users may write (owner {owner}, mode {mode:o}): \
         give the directory to yourself, with mode 700"
    )]
    NotPrivate {
        /// Whose it is.
        owner: u32,
        /// Who may do what.
        mode: u32,
    },
    /// The file is not what was written.
    #[error(
        "what is remembered of {subject} is damaged ({damage}), and nothing new is taken without it: restore the file, or \
         remove it, after which any release that is signed and not expired is taken, also one older than what runs"
    )]
    Damaged {
        /// Of what.
        subject: String,
        /// What is wrong.
        damage: Damage,
    },
    /// It changed since it was read.
    #[error("another process accepted a release of {subject} meanwhile; look again")]
    Changed {
        /// Of what.
        subject: String,
    },
}

/// How a file differs from anything that was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It is no text, or far too long.
    #[error("it is no text")]
    NoText,
    /// A line is not what it has to be.
    #[error("{0}")]
    Line(#[from] LineError),
    /// It is not what was written as a whole.
    #[error("its check does not fit")]
    Check,
    /// It is of another subject.
    #[error("it is of {found}")]
    Other {
        /// The subject.
        found: String,
    },
}

impl TrustStore {
    /// Uses a directory, and makes it if it is not there. Blocks for a moment.
    ///
    /// # Errors
    ///
    /// When it cannot be made or looked at, is another user's, or others may write in it.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = directory.into();
        if let Err(kind) = make_private(&path) {
            return Err(StateError { path, kind });
        }
        Ok(Self { directory: path })
    }

    /// What is remembered; nothing when there is no file. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not what was written: never is a damaged file taken for none.
    pub fn load(&self, subject: &Subject) -> Result<TrustState, StateError> {
        let path = self.path(subject);
        load(&path, subject).map_err(|kind| StateError { path, kind })
    }

    /// Remembers an accepted release, when all its files were checked as well. Blocks until it is on the disk; writes nothing when
    /// nothing is new.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or another process remembered something since the release was checked. Then what was
    /// remembered before is still there, and the release must not run.
    pub fn remember(&self, subject: &Subject, accepted: &Accepted) -> Result<(), StateError> {
        if accepted.before == accepted.after {
            return Ok(());
        }
        let path = self.path(subject);
        let written = self.replace(&path, subject, accepted);
        written.map_err(|kind| StateError { path, kind })
    }

    /// Forgets a subject: as if nothing had ever been accepted. For people, when keys were changed or a publisher lost its way.
    ///
    /// # Errors
    ///
    /// When the file cannot be removed.
    pub fn forget(&self, subject: &Subject) -> Result<(), StateError> {
        let path = self.path(subject);
        let removed = self.locked(|| match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", error)),
            _ => sync(&self.directory),
        });
        removed.map_err(|kind| StateError { path, kind })
    }

    /// The file of a subject.
    #[must_use]
    pub fn path(&self, subject: &Subject) -> PathBuf {
        self.directory.join(subject.file_name())
    }

    fn replace(
        &self,
        path: &Path,
        subject: &Subject,
        accepted: &Accepted,
    ) -> Result<(), StateErrorKind> {
        self.locked(|| {
            if load(path, subject)? != accepted.before {
                return Err(StateErrorKind::Changed { subject: subject.to_string() });
            }
            let temporary = path.with_extension("new");
            let text = render(subject, &accepted.after);
            let written = write(&temporary, &text)
                .and_then(|()| fs::rename(&temporary, path))
                .map_err(|error| failed("write", error));
            if written.is_err() {
                // It is replaced by the next that is written.
                let _left = fs::remove_file(&temporary);
            }
            written.and_then(|()| sync(&self.directory))
        })
    }

    /// Does something while no other process does it in this directory.
    fn locked<T>(
        &self,
        work: impl FnOnce() -> Result<T, StateErrorKind>,
    ) -> Result<T, StateErrorKind> {
        let lock = File::append(self.directory.join(LOCK_NAME));
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock));
        let _lock = lock.map_err(|error| failed("lock", error))?;
        work()
    }
}

fn failed(doing: &'static str, error: io::Error) -> StateErrorKind {
    StateErrorKind::Io { doing, error }
}

fn sync(directory: &Path) -> Result<(), StateErrorKind> {
    let synced = Directory::open(directory).and_then(|directory| directory.sync());
    synced.map_err(|error| failed("write", error))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // What a process left that was killed: the lock says that nobody else has it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_private(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn make_private(directory: &Path) -> Result<(), StateErrorKind> {
    hotswap_system::directory::make_private(directory).map_err(|error| match error {
        NotPrivate::Io { doing, error } => failed(doing, error),
        NotPrivate::Open { owner, mode } => StateErrorKind::NotPrivate { owner, mode },
    })
}

fn load(path: &Path, subject: &Subject) -> Result<TrustState, StateErrorKind> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_at_most(STATE_BYTES_MAX, &mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TrustState::default()),
        Err(error) => return Err(failed("read", error)),
        Ok(_) => {}
    }
    let damaged = |damage| StateErrorKind::Damaged { subject: subject.to_string(), damage };
    let (found, state) = parse(&bytes).map_err(damaged)?;
    if found != *subject {
        return Err(damaged(Damage::Other { found: found.to_string() }));
    }
    Ok(state)
}

fn render(subject: &Subject, state: &TrustState) -> String {
    let Subject { source, module, channel } = subject;
    let TrustState { latest, floor, time } = state;
    let latest = Previous::text(*latest);
    let mut text = format!(
        "{FIRST}\nsource {source}\nmodule {module}\nchannel {channel}\n\
         latest {latest}\nfloor {floor}\ntime {time}\n"
    );
    let check = ContentHash::of(text.as_bytes());
    // Writing to a text cannot fail.
    let _infallible = writeln!(text, "check {check}");
    text
}

fn parse(bytes: &[u8]) -> Result<(Subject, TrustState), Damage> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damage::NoText)?;
    let mut lines = Lines::starting_at(1, text);
    lines.exactly(FIRST)?;
    let subject = Subject {
        source: lines.value("source")?.to_owned(),
        module: lines.value("module")?.to_owned(),
        channel: lines.value("channel")?.to_owned(),
    };
    let state = TrustState {
        latest: lines.parsed("latest", PREVIOUS_RULE, Previous::parse)?,
        floor: lines.parsed("floor", "a number", number)?,
        time: lines.parsed("time", "a time", |text| text.parse().ok())?,
    };
    let checked = text.len() - lines.rest().len();
    let check = lines.parsed("check", "a SHA-256", |text| text.parse::<ContentHash>().ok())?;
    lines.end()?;
    if check != ContentHash::of(&bytes[..checked]) || text != render(&subject, &state) {
        return Err(Damage::Check);
    }
    Ok((subject, state))
}
