//! A web server, and what is said to it alone.

use std::path::PathBuf;

use hotswap_artifact::FetchError;

use super::HttpError;
use super::address::Address;
use super::credential::Credential;

/// One web server with modules, and what is sent to it and to no other.
///
/// ```
/// use hotswap_monitor::http::Mirror;
///
/// let mirror = Mirror::new("https://mirror.example.org/modules")?.bearer("token");
/// assert!(!format!("{mirror:?}").contains("token"));
/// # Ok::<(), hotswap_monitor::http::HttpError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Mirror {
    pub(super) address: Address,
    pub(super) credential: Option<Credential>,
    pub(super) ca_file: Option<PathBuf>,
    is_plain_wanted: bool,
}

impl Mirror {
    /// The modules below this address: `https://host/modules`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When it is no such address.
    pub fn new(address: &str) -> Result<Self, HttpError> {
        Ok(Self::at(Address::parse(address)?))
    }

    pub(super) fn at(address: Address) -> Self {
        Self { address, credential: None, ca_file: None, is_plain_wanted: false }
    }

    /// Shows it this token.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.credential = Some(Credential::bearer(token));
        self
    }

    /// Shows it this user and password.
    #[must_use]
    pub fn basic(mut self, user: &str, password: &str) -> Self {
        self.credential = Some(Credential::basic(user, password));
        self
    }

    /// Believes certificates of the authorities in this file (PEM), and no others; by default those that Mozilla believes, which are
    /// compiled in. The file is read when a connection is made first, and again after a certificate was refused.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Asks it without TLS, if its address says so: whoever is on the way sees what is asked, and what is shown with it. What runs
    /// is signed all the same. Without this, `http` is for this machine alone.
    #[must_use]
    pub fn plain_http(mut self) -> Self {
        self.is_plain_wanted = true;
        self
    }

    /// Whether it may be asked at all.
    pub(super) fn check(&self) -> Result<(), FetchError> {
        let origin = &self.address.origin;
        if !origin.is_private() && !origin.is_loopback() && !self.is_plain_wanted {
            return Err(FetchError::refused(format!(
                "{origin} is another machine, and http is open to all on the way: use https, or say `plain_http` (--plain-http)"
            )));
        }
        if self.credential.as_ref().is_some_and(|credential| credential.header().is_none()) {
            return Err(FetchError::refused(format!(
                "what {origin} is to be shown has characters that cannot be sent: a line break, or a colon in the user"
            )));
        }
        Ok(())
    }

    /// Whether what it is shown stays out of the host's log: the client writes down every byte that it sends, at the lowest level.
    pub(super) fn check_logger(&self) -> Result<(), FetchError> {
        let is_written_down = log::log_enabled!(target: "ureq_proto::util", log::Level::Trace);
        match is_written_down && self.credential.is_some() {
            true => Err(FetchError::unavailable(format!(
                "the program's logger takes `trace` of `ureq_proto`, which would show what {} is shown: have it leave that out",
                self.address.origin
            ))),
            false => Ok(()),
        }
    }
}
