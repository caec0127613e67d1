//! What an answer contains, read within limits.

use std::io::Read as _;
use std::time::Duration;

use hotswap_artifact::FetchError;
use hotswap_system::clock;
use ureq::Body;

use super::client::Client;

/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// For how long the first bytes may take, before the rate is looked at.
pub(super) const RATE_GRACE: Duration = Duration::from_secs(5);

/// What gzip may add to what it cannot make shorter: some bytes for each block, a header and a sum.
const GZIP_EXTRA_BYTES: u64 = 1024;

/// How quickly bytes come, without the time that their receiver takes.
pub(super) struct Pace {
    bytes_per_second: u64,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) fn of_at_least(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, waited: Duration::ZERO, bytes: 0 }
    }

    /// Whether it is too slow, now that so much came after so long.
    pub(super) fn is_too_slow(&mut self, bytes: usize, waited: Duration) -> bool {
        self.waited += waited;
        self.bytes += bytes as u64;
        let counted = self.waited.saturating_sub(RATE_GRACE).as_secs();
        self.bytes < counted.saturating_mul(self.bytes_per_second)
    }
}

/// Reads what an answer contains, at most `bytes_max` when it is unpacked, and not much more than that before. What the receiver says
/// against it is the error.
pub(super) fn read(
    client: &Client,
    body: &mut Body,
    bytes_max: u64,
    receive: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
) -> Result<(), FetchError> {
    let origin = client.origin();
    let too_much = || {
        FetchError::unavailable(format!(
            "{origin} sends more than the {bytes_max} bytes that there can be"
        ))
    };
    if body.content_length().is_some_and(|length| length > bytes_max) {
        return Err(too_much());
    }
    // One more than that, since the end is only seen by reading on.
    let sent_max = bytes_max.saturating_add(bytes_max / 100).saturating_add(GZIP_EXTRA_BYTES);
    let mut reader = body.with_config().limit(sent_max).reader();
    let mut pace = client.pace();
    let mut left = bytes_max;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let begin = clock::now();
        let read = reader.read(&mut chunk).map_err(|error| client.failed(error.into()))?;
        if read == 0 {
            return Ok(());
        }
        client.check_wanted()?;
        if pace.is_too_slow(read, clock::since(begin)) {
            return Err(FetchError::unavailable(format!(
                "{origin} sends less than {} bytes a second",
                pace.bytes_per_second
            )));
        }
        receive(&chunk[..read])?;
        left = left.checked_sub(read as u64).ok_or_else(too_much)?;
    }
}
