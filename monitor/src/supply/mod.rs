//! Sources that have to be fetched, or chosen, before there is anything to scan.
//!
//! What is fetched lies below the target directory, at a path of its own that stays the same, and is scanned and built like
//! a directory of the user's. A path alone needs nothing of this.

mod floor;
mod slot;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotswap_artifact::{
    Assurance, Attachment, ContentHash, Fetch, FetchError, FetchErrorKind, Fetched, Fingerprint,
    Pause, ScanError, Source, WhenDown, Woken,
};
use hotswap_system::{clock, fs};

use crate::BuildSettings;
use crate::scan::{absolute, walk};
pub use floor::Floor;
use slot::Slot;

/// How long it is before a source that could not be asked is asked again. Each time in a row it is twice as long.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest such delay: a minute, so that it is soon noticed when the source is back.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// The sources of one monitor, and which of them it goes by.
pub(crate) struct Supply {
    source_name: String,
    members: Vec<Member>,
    /// What the user wants; what is fetched adds to it.
    settings: BuildSettings,
    /// Where builds of what is fetched go.
    target_dir: PathBuf,
    /// What the monitor goes by.
    current: Option<Choice>,
    failed: Option<Failed>,
    /// Why a source before that was passed over.
    passed: Option<ScanError>,
    /// The number of the release that was delivered last, if it has one.
    release: Option<u64>,
    /// What its library has to be, where that was signed.
    content: Option<ContentHash>,
    /// What its source was, all that lay there, where others are believed in it and its builds are confined: they write nothing there.
    delivered: Option<Fingerprint>,
}

struct Member {
    code: MemberCode,
    when_down: WhenDown,
    slot: Option<Slot>,
}

enum MemberCode {
    /// A path, absolute.
    Local(Source),
    Fetched(Arc<dyn Fetch>),
}

/// Which source has the module, and what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    member: usize,
    /// Of what is fetched.
    fingerprint: Option<Fingerprint>,
}

impl Choice {
    /// Of what is fetched; of a path, the same for all.
    pub(crate) fn fingerprint(self) -> Fingerprint {
        self.fingerprint.unwrap_or_else(|| Fingerprint::of(b""))
    }
}

/// A source that could not be asked.
struct Failed {
    error: ScanError,
    failures: u32,
    retry_at: Instant,
}

/// What there is to scan, and how it is built.
pub(crate) struct Delivery {
    /// A path, absolute.
    pub(crate) source: Source,
    pub(crate) settings: BuildSettings,
    /// `None` of what needs no fetching.
    pub(crate) fetched: Option<DeliveryNote>,
}

/// What is worth a line in the log.
pub(crate) struct DeliveryNote {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) text: String,
    pub(crate) release: Option<u64>,
}

/// Why a source gives nothing.
enum Missing {
    /// It was asked, and has no such module.
    Absent,
    /// It could not be asked.
    Down(ScanError),
}

impl Supply {
    /// The supply of a source; `None` of a path alone, which is scanned where it lies.
    pub(crate) fn new(source: &Source, settings: &BuildSettings) -> Option<Self> {
        let member = |source: &Source, when_down| Member {
            code: match source {
                Source::Fetched(fetched) => MemberCode::Fetched(Arc::clone(fetched.fetch())),
                local => MemberCode::Local(absolute(local)),
            },
            when_down,
            slot: None,
        };
        let members = match source {
            Source::Fetched(_) => vec![member(source, WhenDown::KeepCurrent)],
            Source::Chain(chain) => {
                chain.links().iter().map(|link| member(&link.source, link.when_down)).collect()
            }
            _ => return None,
        };
        let target_dir = settings.target_dir.clone();
        let target_dir = target_dir.unwrap_or_else(|| PathBuf::from("target/hotswap"));
        Some(Self {
            source_name: source.to_string(),
            members,
            settings: settings.clone(),
            target_dir: std::path::absolute(&target_dir).unwrap_or(target_dir),
            current: None,
            failed: None,
            passed: None,
            release: None,
            content: None,
            delivered: None,
        })
    }

    /// By what each source is believed that is asked for code of others: its kind, its name, and that.
    pub(crate) fn assurances(&self) -> Vec<(&'static str, String, Assurance)> {
        let assured = |fetch: &Arc<dyn Fetch>| {
            Some((fetch.kind(), fetch.name().to_owned(), fetch.assurance()?))
        };
        self.fetches().filter_map(assured).collect()
    }

    /// Which releases may run, for whoever decides what runs.
    pub(crate) fn floor(&self) -> Floor {
        Floor { fetches: self.fetches().cloned().collect() }
    }

    /// The number of the release that was delivered last, if it has one.
    pub(crate) fn release(&self) -> Option<u64> {
        self.release
    }

    fn fetches(&self) -> impl Iterator<Item = &Arc<dyn Fetch>> {
        self.members.iter().filter_map(|member| match &member.code {
            MemberCode::Fetched(fetch) => Some(fetch),
            MemberCode::Local(_) => None,
        })
    }

    /// Where builds of what is fetched go.
    pub(crate) fn target_dir(&self) -> &Path {
        &self.target_dir
    }

    /// Tells all sources what is to run what they give, and how to have it looked at.
    pub(crate) fn attach(&self, monitor: &Attachment) {
        self.fetches().for_each(|fetch| fetch.attach(monitor));
    }

    /// What the monitor is to go by; `None` as long as it is what it goes by. A source that could not be asked is asked again
    /// when it is time to, or when somebody asks.
    pub(crate) fn choose(&mut self, is_asked: bool) -> Result<Option<Choice>, ScanError> {
        if let Some(failed) = &self.failed
            && !is_asked
            && clock::now() < failed.retry_at
        {
            return Err(failed.error.clone());
        }
        if is_asked {
            self.fetches().for_each(|fetch| fetch.refresh());
        }
        match self.first() {
            Ok((choice, passed)) => {
                (self.failed, self.passed) = (None, passed);
                Ok((self.current != Some(choice)).then_some(choice))
            }
            Err(Missing::Absent) => {
                self.failed = None;
                let error = io::Error::new(io::ErrorKind::NotFound, "it has no such module");
                Err(self.error(&self.source_name, error))
            }
            Err(Missing::Down(error)) => Err(self.fail(error)),
        }
    }

    /// What will be chosen at the next look, when that is something else. For looks during a build.
    pub(crate) fn next(&self) -> Option<(Fingerprint, PathBuf)> {
        let (choice, _) = self.first().ok()?;
        if self.current == Some(choice) {
            return None;
        }
        let name = PathBuf::from(self.name(choice));
        let of_a_path = || Fingerprint::of(name.as_os_str().as_encoded_bytes());
        Some((choice.fingerprint.unwrap_or_else(of_a_path), name))
    }

    /// Whether this choice is to be fetched.
    pub(crate) fn is_fetched(&self, choice: Choice) -> bool {
        matches!(self.members[choice.member].code, MemberCode::Fetched(_))
    }

    /// Whether what the monitor goes by is fetched: nobody else writes there.
    pub(crate) fn has_fetched(&self) -> bool {
        self.current.is_some_and(|current| self.is_fetched(current))
    }

    /// Whether to choose may take long.
    pub(crate) fn is_slow(&self) -> bool {
        self.members.iter().any(|member| match &member.code {
            MemberCode::Fetched(fetch) => fetch.is_slow(),
            MemberCode::Local(_) => false,
        })
    }

    /// The kind of the source that was chosen.
    pub(crate) fn kind(&self, choice: Choice) -> &'static str {
        match &self.members[choice.member].code {
            MemberCode::Local(source) => source.kind(),
            MemberCode::Fetched(fetch) => fetch.kind(),
        }
    }

    /// The name of the source that was chosen.
    pub(crate) fn name(&self, choice: Choice) -> String {
        match &self.members[choice.member].code {
            MemberCode::Local(source) => source.to_string(),
            MemberCode::Fetched(fetch) => fetch.name().to_owned(),
        }
    }

    /// Why a source before the one that was chosen was passed over, though it may have the module.
    pub(crate) fn passed(&self) -> Option<&ScanError> {
        self.passed.as_ref()
    }

    /// Whether there is more than one source, so that it is worth telling which was chosen.
    pub(crate) fn is_chain(&self) -> bool {
        self.members.len() > 1
    }

    /// Whether the source before this choice was another.
    pub(crate) fn is_switch(&self, choice: Choice) -> bool {
        self.current.is_none_or(|current| current.member != choice.member)
    }

    /// Puts what was chosen where it is scanned. A refusal is a choice too, and good until there is something else.
    pub(crate) fn deliver(&mut self, choice: Choice) -> Result<Delivery, DeliveryError> {
        let member = &mut self.members[choice.member];
        let fetch = match &member.code {
            MemberCode::Local(source) => {
                let delivery = Delivery {
                    source: source.clone(),
                    settings: self.settings.clone().of_source(source, false),
                    fetched: None,
                };
                self.current = Some(choice);
                (self.release, self.content, self.delivered) = (None, None, None);
                return Ok(delivery);
            }
            MemberCode::Fetched(fetch) => Arc::clone(fetch),
        };
        let slot = match &mut member.slot {
            Some(slot) => Ok(slot),
            none => Slot::claim(&self.target_dir, fetch.kind(), fetch.name())
                .map(|slot| none.insert(slot)),
        };
        let fetched = slot.and_then(|slot| slot.fetch(&*fetch));
        let fetched = fetched.and_then(|fetched| above_floor(fetched, fetch.floor()));
        let mut settings = self.settings.clone();
        settings.target_dir = Some(self.target_dir.clone());
        let delivered = fetched.and_then(|fetched| {
            // Before what it depends on is added: those are paths of its author's.
            let settings = settings.of_source(&fetched.code, fetched.is_foreign);
            let is_kept = fetch.assurance().is_some() && settings.confinement.is_some();
            let content = match &member.slot {
                Some(slot) if is_kept => Some(slot.content()?),
                _ => None,
            };
            Ok((fetched, settings, content))
        });
        match delivered {
            Ok((fetched, mut settings, delivered)) => {
                let Fetched { fingerprint, code, dependencies, note, release, content, .. } =
                    fetched;
                (self.release, self.content, self.delivered) = (release, content, delivered);
                self.current = Some(Choice { fingerprint: Some(fingerprint), ..choice });
                settings.file_dependencies.extend(dependencies);
                let fetched = Some(DeliveryNote { fingerprint, text: note, release });
                Ok(Delivery { source: code, settings, fetched })
            }
            Err(error) if error.kind == FetchErrorKind::Refused => {
                self.current = Some(choice);
                Err(DeliveryError::Refused(error))
            }
            Err(error) => {
                let told = error.clone();
                let error = self.error(fetch.name(), io::Error::other(error));
                Err(DeliveryError::Unavailable { told, error: self.fail(error) })
            }
        }
    }

    /// Why a library with these bytes is not what was delivered, if it is not: somebody replaced it since it was checked.
    pub(crate) fn replaced(&self, found: ContentHash) -> Option<ScanError> {
        let expected = self.content.filter(|expected| *expected != found)?;
        let choice = self.current?;
        let text = format!(
            "its library was replaced after it was checked: its SHA-256 is {found} instead of {expected}"
        );
        Some(self.error(&self.name(choice), io::Error::other(text)))
    }

    /// Why the source that lies there is not what was delivered, if it is not: somebody edited it since it was checked.
    pub(crate) fn edited(&self) -> Option<ScanError> {
        let (delivered, choice) = (self.delivered?, self.current?);
        let slot = self.members[choice.member].slot.as_ref()?;
        let error = match slot.content() {
            Ok(content) if content == delivered => return None,
            Ok(_) => io::Error::other("what was fetched was edited after it was checked"),
            Err(error) => io::Error::other(error),
        };
        Some(self.error(&self.name(choice), error))
    }

    /// Forgets what was delivered: it is done anew.
    pub(crate) fn forget(&mut self) {
        self.current = None;
        self.failed = None;
    }

    /// How long it is until a source that could not be asked is asked again.
    pub(crate) fn until_retry(&self) -> Duration {
        let until = |failed: &Failed| failed.retry_at.saturating_duration_since(clock::now());
        self.failed.as_ref().map_or(Duration::MAX, until)
    }

    /// Waits between two looks, as the first source that can tell wants it.
    pub(crate) fn wait(&self, pause: &Pause<'_>) -> Woken {
        match self.fetches().next() {
            // What failed is not hurried.
            Some(fetch) if self.failed.is_none() => fetch.wait(pause),
            _ => pause.sleep(pause.period()),
        }
    }

    /// The first source that has the module, and why one before it was passed over though it may have it.
    fn first(&self) -> Result<(Choice, Option<ScanError>), Missing> {
        let mut passed = None;
        for (index, member) in self.members.iter().enumerate() {
            match self.ask(member) {
                Ok(fingerprint) => return Ok((Choice { member: index, fingerprint }, passed)),
                Err(Missing::Absent) => {}
                Err(Missing::Down(error)) if self.is_passed(index, member.when_down) => {
                    passed = Some(error);
                }
                Err(down) => return Err(down),
            }
        }
        Err(passed.map_or(Missing::Absent, Missing::Down))
    }

    /// Whether a source that cannot be asked is passed over. What runs is displaced only if that is wanted.
    fn is_passed(&self, member: usize, when_down: WhenDown) -> bool {
        let is_behind = |current: Choice| current.member > member;
        when_down == WhenDown::FallThrough || self.current.is_none_or(is_behind)
    }

    fn ask(&self, member: &Member) -> Result<Option<Fingerprint>, Missing> {
        match &member.code {
            MemberCode::Local(source) => match fs::metadata(source.location()) {
                Ok(_) => Ok(None),
                Err(error) if walk::is_absent(&error) => Err(Missing::Absent),
                Err(error) => Err(Missing::Down(self.error(&source.to_string(), error))),
            },
            MemberCode::Fetched(fetch) => match fetch.fingerprint() {
                Ok(Some(fingerprint)) => Ok(Some(fingerprint)),
                Ok(None) => Err(Missing::Absent),
                Err(error) => Err(Missing::Down(self.error(fetch.name(), io::Error::other(error)))),
            },
        }
    }

    fn error(&self, name: &str, error: io::Error) -> ScanError {
        ScanError::new(self.source_name.as_str(), Path::new(name), error)
    }

    fn fail(&mut self, error: ScanError) -> ScanError {
        let before = self.failed.take();
        let failures = before.map_or(1, |failed| failed.failures.saturating_add(1));
        let retry_at = clock::now() + clock::backoff(RETRY_DELAY, failures, RETRY_DELAY_MAX);
        self.failed = Some(Failed { error: error.clone(), failures, retry_at });
        error
    }
}

/// What lies below the floor of its own source does not run, whoever forgot to refuse it; and a source that has a floor numbers
/// its releases.
fn above_floor(fetched: Fetched, floor: u64) -> Result<Fetched, FetchError> {
    match fetched.release {
        Some(release) if release < floor => Err(FetchError::refused(format!(
            "it is release {release}, and none below {floor} may run any more"
        ))),
        None if floor > 0 => Err(FetchError::refused(format!(
            "it has no number, and no release below {floor} may run any more"
        ))),
        _ => Ok(fetched),
    }
}

/// Why there is nothing to scan.
pub(crate) enum DeliveryError {
    /// It is to be tried again.
    Unavailable { told: FetchError, error: ScanError },
    /// What lies there is no module.
    Refused(FetchError),
}
