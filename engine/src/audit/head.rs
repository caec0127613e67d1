//! `hotswap.log.head`: the end of the log in a file of its own, so that lines cut off there are missed.

use std::io;
use std::path::{Path, PathBuf};

use hotswap_system::fs;

use super::chain::{Chain, Seal};

/// What the head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The last line.
    pub(super) end: Chain,
    /// The file that it stands in, by its inode.
    pub(super) inode: u64,
}

impl Head {
    /// Where the head of a log lies.
    pub(super) fn path(log: &Path) -> PathBuf {
        with_ending(log, ".head")
    }

    /// `None` when there is none, or it is none.
    pub(super) fn read(log: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(Self::path(log)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        let seq = words.next()?.strip_prefix("seq=")?.parse().ok()?;
        let seal: Seal = words.next()?.strip_prefix("h=")?.parse().ok()?;
        let inode = words.next()?.strip_prefix("inode=")?.parse().ok()?;
        words.next().is_none().then_some(Self { end: Chain { seq, seal }, inode })
    }

    /// Replaces the head of a log. Whoever reads it meanwhile gets the old one or the new one.
    pub(super) fn write(self, log: &Path) -> io::Result<()> {
        let Self { end, inode } = self;
        let text = format!("seq={:06} h={} inode={inode}\n", end.seq, end.seal);
        let path = Self::path(log);
        let new = with_ending(&path, ".new");
        fs::write(&new, text)?;
        fs::rename(new, path)
    }
}

/// The path with more behind its name.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_head_is_read() {
        let seal = "0123456789abcdef0123456789abcdef";
        let whole = format!("seq=000042 h={seal} inode=7\n");
        let head = Head::parse(&whole).expect("whole");
        assert_eq!((head.end.seq, head.end.seal.to_string()), (42, seal.to_owned()));
        assert_eq!(head.inode, 7);
        for length in 0..whole.len() {
            assert_eq!(Head::parse(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(Head::parse(&whole.replace('\n', " more\n")), None);
    }
}
