//! The file that is written: whole lines, each joined to the one before, whatever happens to the file meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use hotswap_system::fs::{self, File};
use hotswap_system::{clock, process};

use super::chain::Chain;
use super::copy::LogCopy;
use super::head::Head;
use super::opened::{Opened, identity, join};
use super::rotation::shift;
use super::tail::Tail;
use super::{BOOT, Line, LogSettings, SCHEMA, Stamp};

/// How many lines may follow each other without a checkpoint.
pub(super) const CHECKPOINT_LINES: u64 = 100;

/// How old a checkpoint may be when a line is written.
const CHECKPOINT_AGE: Duration = Duration::from_secs(600);

/// An open log.
pub(super) struct Writer {
    path: PathBuf,
    settings: LogSettings,
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// As we left it; `None` when we do not know what stands at its end.
    bytes: Option<u64>,
    /// When it was empty, or was to be put aside last.
    began: SystemTime,
    /// From which length on it is put aside.
    full_bytes: u64,
    chain: Chain,
    /// Of a line that could not be written and not be taken back, or that somebody else left.
    torn_bytes: u64,
    /// What is to be said before the next line.
    pending: Vec<Line>,
    /// What was said that nobody asked for; for the facade.
    pub(super) notices: Vec<Line>,
    copies: Vec<LogCopy>,
    /// Lines that could not be written since the last one that could.
    pub(super) lost: u64,
    checkpoint: Checkpoint,
    /// What the head says, or would if it could be written.
    head: Option<Head>,
    /// Whether that it cannot be written was said.
    head_is_missed: bool,
}

/// Since the last line that tells the end of the chain.
struct Checkpoint {
    lines: u64,
    at: Instant,
}

impl Checkpoint {
    fn now() -> Self {
        Self { lines: 0, at: clock::now() }
    }

    fn is_due(&self) -> bool {
        self.lines >= CHECKPOINT_LINES || clock::since(self.at) >= CHECKPOINT_AGE
    }
}

impl Writer {
    /// Opens a log, and writes that it did. `None` when another process has it; `instead_of` is then the path that was
    /// wanted.
    pub(super) fn open(
        path: &Path,
        settings: LogSettings,
        instead_of: Option<&Path>,
    ) -> io::Result<Option<Self>> {
        let Some(opened) = Opened::open(path)? else { return Ok(None) };
        let head = Head::read(path)?;
        let (chain, alert) = join(&opened, head);
        let mut writer = Self {
            path: path.to_owned(),
            full_bytes: settings.bytes_max,
            copies: settings.copies.iter().cloned().map(LogCopy::new).collect(),
            settings,
            bytes: Some(opened.tail.bytes),
            began: opened.tail.began.unwrap_or_else(clock::wall),
            chain,
            torn_bytes: opened.tail.torn_bytes,
            pending: Vec::new(),
            notices: Vec::new(),
            lost: 0,
            checkpoint: Checkpoint::now(),
            head: None,
            head_is_missed: false,
            identity: opened.identity,
            file: opened.file,
        };
        let line = writer
            .opening("start")
            .maybe("instead_of", instead_of.map(|path| path.display().to_string()));
        writer.pending = [line].into_iter().chain(alert).collect();
        writer.write(&[], Stamp::now())?;
        Ok(Some(writer))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The first line of a file, or of a process in it.
    fn opening(&self, reason: &str) -> Line {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let has_more = self.chain.seq > 0;
        Line::info("log.open")
            .field("schema", SCHEMA)
            .field("host", host.trim())
            .field("pid", process::id())
            .field("boot", format_args!("{:08x}", BOOT.id))
            .field("reason", reason)
            .maybe("last_seq", has_more.then_some(self.chain.seq))
            .maybe("last_h", has_more.then_some(self.chain.seal))
            .maybe("recovered", Some(self.torn_bytes).filter(|bytes| *bytes > 0))
    }

    /// Appends a line; an error leaves nothing of it, or a part that is marked as such later.
    pub(super) fn append(&mut self, line: &Line, at: Stamp) -> io::Result<()> {
        self.look()?;
        if self.is_full() {
            self.rotate(at)?;
        }
        self.write(&[line], at)
    }

    /// Brings what was written to the disk, for who wants to find it there after a loss of power.
    pub(super) fn sync_if_wanted(&mut self) -> io::Result<()> {
        if self.settings.is_synced { self.file.sync_all() } else { Ok(()) }
    }

    /// Follows the path if it names another file by now.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.look()?;
        if self.pending.is_empty() { Ok(()) } else { self.write(&[], Stamp::now()) }
    }

    /// Looks what became of the file.
    fn look(&mut self) -> io::Result<()> {
        let found = match fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.follow("renamed"),
            // What cannot be looked at may be written all the same; then nothing is taken back.
            Err(_) => {
                self.bytes = None;
                return Ok(());
            }
        };
        if identity(&found) != self.identity {
            return self.follow("renamed");
        }
        match self.bytes {
            Some(bytes) if bytes == found.len() => return Ok(()),
            Some(bytes) if bytes > found.len() => self.pending.push(
                Line::alert("log.truncated")
                    .field("last_seq", self.chain.seq)
                    .field("bytes", found.len())
                    .field("bytes_before", bytes)
                    .field("msg", "the log became shorter while it was written: lines are gone"),
            ),
            Some(_) | None => {}
        }
        let tail = Tail::of(&mut self.file)?;
        // Some of what we could neither write nor take back may be whole.
        if let Some(last) = tail.last
            && self.bytes.is_none()
            && last.end.seq > self.chain.seq
        {
            self.chain = last.end;
        }
        self.torn_bytes = tail.torn_bytes;
        self.bytes = Some(tail.bytes);
        Ok(())
    }

    /// Opens what the path names now, if that is ours to have.
    fn follow(&mut self, reason: &str) -> io::Result<()> {
        let Some(opened) = Opened::open(&self.path)? else {
            // Another process was quicker: we stay in the file that we have.
            return Ok(());
        };
        if opened.identity == self.identity {
            return Ok(());
        }
        self.file = opened.file;
        self.identity = opened.identity;
        self.bytes = Some(opened.tail.bytes);
        self.began = opened.tail.began.unwrap_or_else(clock::wall);
        self.full_bytes = self.settings.bytes_max;
        self.torn_bytes = opened.tail.torn_bytes;
        // Before whatever waits to be said: it is the first line of a file.
        let line = self.opening(reason);
        self.pending.insert(0, line);
        Ok(())
    }

    fn is_full(&self) -> bool {
        let age = clock::wall().duration_since(self.began).unwrap_or_default();
        self.bytes.is_some_and(|bytes| bytes >= self.full_bytes)
            || self.settings.age_max.is_some_and(|age_max| age >= age_max)
    }

    /// Puts the file aside and begins another one.
    fn rotate(&mut self, at: Stamp) -> io::Result<()> {
        let bytes = self.bytes.unwrap_or_default();
        match shift(&self.path, self.settings.files_max) {
            Ok(shifted) => {
                let dropped = shifted.dropped.map(|path| path.display().to_string());
                let line = Line::info("log.rotate").field("bytes", bytes);
                let line = line.field("to", shifted.to.display()).maybe("dropped", dropped);
                self.pending.push(line);
                self.write(&[], at)?;
                for copy in &mut self.copies {
                    copy.rotate(self.settings.files_max);
                }
                self.follow("rotated")
            }
            Err(error) => {
                self.began = clock::wall();
                self.full_bytes = bytes.saturating_add(self.settings.bytes_max);
                let line = Line::warn("log.rotate").field("bytes", bytes);
                self.pending.push(line.field("outcome", "failed").failure("file", &error));
                Ok(())
            }
        }
    }

    /// Writes what is to be said, and these lines, in one piece.
    fn write(&mut self, lines: &[&Line], at: Stamp) -> io::Result<()> {
        let mut chain = self.chain;
        let mut text = String::new();
        let mut own = self.pending.clone();
        let tells_end = own.iter().any(|line| line.event == "log.open");
        if self.lost > 0 {
            let torn = Some(self.torn_bytes).filter(|bytes| *bytes > 0 && !tells_end);
            own.push(
                Line::alert("log.recovered")
                    .field("lost_lines", self.lost)
                    .maybe("torn_bytes", torn)
                    .field("msg", "lines before this one could not be written and are missing"),
            );
        }
        own.iter().for_each(|line| text += &chain.add(line, at));
        let is_due = !tells_end && !lines.is_empty() && self.checkpoint.is_due();
        if is_due {
            let line = Line::info("log.checkpoint")
                .field("last_seq", chain.seq)
                .field("last_h", chain.seal)
                .field("lines", self.checkpoint.lines);
            text += &chain.add(&line, at);
            own.push(line);
        }
        lines.iter().for_each(|line| text += &chain.add(line, at));
        self.write_text(&text)?;
        if tells_end || is_due {
            self.checkpoint = Checkpoint { lines: lines.len() as u64, at: clock::now() };
        } else {
            self.checkpoint.lines += chain.seq - self.chain.seq;
        }
        self.chain = chain;
        self.pending.clear();
        self.notices.extend(own);
        self.lost = 0;
        for copy in &mut self.copies {
            self.pending.extend(copy.add(&text));
        }
        Ok(())
    }

    /// Appends whole lines. An error leaves nothing of them, or it is not known what.
    fn write_text(&mut self, lines: &str) -> io::Result<()> {
        // What there is of an earlier line must not run into these.
        let joint = if self.torn_bytes > 0 { "\n" } else { "" };
        let text = format!("{joint}{lines}");
        let before = self.bytes.take();
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // Half a line may read as a whole one: taken back, where the file can be cut.
            self.bytes = before.filter(|bytes| self.file.set_len(*bytes).is_ok());
            return Err(error);
        }
        self.bytes = before.map(|bytes| bytes + text.len() as u64);
        self.torn_bytes = 0;
        Ok(())
    }

    /// Whether the head does not say what the log says.
    pub(super) fn head_is_behind(&self) -> bool {
        self.head.is_none_or(|head| head.end != self.chain)
    }

    /// Brings the head up to date. That it cannot be is said once, and tried again with the next line.
    pub(super) fn write_head(&mut self) -> io::Result<()> {
        let head = Head { end: self.chain, inode: self.identity.1 };
        self.head = Some(head);
        let Err(error) = head.write(&self.path) else {
            self.head_is_missed = false;
            return Ok(());
        };
        if std::mem::replace(&mut self.head_is_missed, true) {
            return Ok(());
        }
        let line = Line::warn("log.head").field("outcome", "failed").failure("file", &error);
        let told = self.append(&line, Stamp::now());
        self.head = Some(Head { end: self.chain, ..head });
        told
    }
}
