//! What the server answers, as good servers do and as none does.

use std::io::Write as _;
use std::time::Duration;

use flate2::write::GzEncoder;
use flate2::{Compression, FlushCompress};

/// How many bytes of a body that never ends are written at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// `200`.
    pub status: u16,
    /// Besides those that the body brings.
    pub headers: Vec<(String, String)>,
    /// What follows.
    pub body: Body,
}

/// What follows the head of an answer, or comes instead of one.
#[derive(Debug, Clone)]
pub enum Body {
    /// These bytes, with their length before them.
    Whole(Vec<u8>),
    /// These bytes, in chunks.
    Chunked(Vec<u8>),
    /// These bytes, and another length before them; then the connection is closed.
    Claimed {
        /// What comes.
        bytes: Vec<u8>,
        /// What was said to come.
        length: u64,
    },
    /// In chunks: the first bytes, and then the others again and again.
    Endless {
        /// Comes once.
        first: Vec<u8>,
        /// Comes for ever.
        again: Vec<u8>,
    },
    /// Without a length, and without an end.
    EndlessStream,
    /// These bytes, with their length before them, one at a time.
    Drip {
        /// What comes.
        bytes: Vec<u8>,
        /// How long each takes.
        pause: Duration,
    },
    /// One header after the other, and never a body.
    EndlessHead,
    /// Nothing, not even a head, until the server ends or its scripts are taken back.
    Held,
    /// The connection is closed.
    Cut,
    /// What no HTTP server says.
    Noise(Vec<u8>),
    /// No body at all.
    None,
}

impl Reply {
    /// `200`, and these bytes.
    #[must_use]
    pub fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Body::Whole(bytes.into()))
    }

    /// `200`, and this body.
    #[must_use]
    pub fn of(body: Body) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }

    /// Another status than `200`, and a few words.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::whole(*b"as the test wants it") }
    }

    /// `304`.
    #[must_use]
    pub fn not_modified() -> Self {
        Self { status: 304, ..Self::of(Body::None) }
    }

    /// `302` to somewhere else.
    #[must_use]
    pub fn redirect(to: impl Into<String>) -> Self {
        Self::status(302).header("Location", to)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Chunks without end.
    #[must_use]
    pub fn endless() -> Self {
        Self::of(Body::Endless { first: Vec::new(), again: vec![b'a'; PIECE_BYTES] })
    }

    /// A few bytes on the line that become a thousand times as many, without end.
    ///
    /// # Panics
    ///
    /// Never: memory takes every byte.
    #[must_use]
    pub fn gzip_bomb() -> Self {
        let (first, again) = bomb();
        Self::of(Body::Endless { first, again }).header("Content-Encoding", "gzip")
    }

    /// These bytes, as a client that says so may be given them.
    #[must_use]
    pub fn gzipped(bytes: &[u8]) -> Self {
        Self::whole(gzip(bytes)).header("Content-Encoding", "gzip")
    }

    /// `200`, and these bytes, one per pause.
    #[must_use]
    pub fn drip(bytes: impl Into<Vec<u8>>, pause: Duration) -> Self {
        Self::of(Body::Drip { bytes: bytes.into(), pause })
    }

    /// These bytes, and a wrong length.
    #[must_use]
    pub fn claimed(bytes: impl Into<Vec<u8>>, length: u64) -> Self {
        Self::of(Body::Claimed { bytes: bytes.into(), length })
    }
}

/// These bytes in the format of gzip.
///
/// # Panics
///
/// Never: memory takes every byte.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// The beginning of a gzip file, and a part that may follow it any number of times: each is a megabyte of zeros.
fn bomb() -> (Vec<u8>, Vec<u8>) {
    let zeros = vec![0; 1024 * 1024];
    let mut compress = flate2::Compress::new(Compression::best(), false);
    let mut part = || {
        let mut bytes = Vec::with_capacity(zeros.len());
        let done = compress.compress_vec(&zeros, &mut bytes, FlushCompress::Sync);
        done.expect("a buffer as large as what goes in is enough");
        bytes
    };
    // No name, no time: ten bytes.
    let mut first = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    first.extend(part());
    // What came before is all zeros already, which the second part may refer to.
    (first, part())
}
