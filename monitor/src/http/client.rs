//! Asks one server.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hotswap_artifact::{Attachment, FetchError};
use hotswap_system::fault::{Operation, check};
use hotswap_system::{clock, fs};
use parking_lot::Mutex;
use ureq::http::Response;
use ureq::http::header::{AUTHORIZATION, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LOCATION};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::Mirror;
use super::address::Origin;
use super::body::Pace;
use super::credential::Credential;
use super::failure::{failure, is_about_certificates};
use super::headers::Validators;

/// How many redirects are followed, on the very same server.
const REDIRECTS_MAX: u32 = 5;

/// The longest header section of an answer, in bytes: four times what servers themselves take.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// How much is read from a connection at once, and what has to hold a header section.
const INPUT_BYTES: usize = 2 * HEADER_BYTES_MAX;

/// How much of a request is written at once; none has more than its headers.
const OUTPUT_BYTES: usize = 8 * 1024;

/// How long a name may take to be resolved, and a connection to be made: neither can be interrupted.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long the bytes of one answer may take, whatever the rate says.
///
/// An hour: at the lowest rate a hundred megabytes take more than a day, and nothing newer is looked for meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(60 * 60);

/// For how long a connection is kept that nobody uses: longer than most periods.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// Who speaks, as servers' logs have it.
const USER_AGENT: &str = concat!("hotswap-monitor/", env!("CARGO_PKG_VERSION"));

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For an answer that is a manifest, and for the beginning of any other.
    pub(super) deadline: Duration,
    /// For bytes on the average.
    pub(super) bytes_per_second: u64,
}

impl Patience {
    /// How long an answer with so many bytes may take altogether.
    fn with(self, bytes: u64) -> Duration {
        let time = Duration::from_secs(bytes / self.bytes_per_second.max(1));
        self.deadline.saturating_add(time.min(ANSWER_MAX))
    }
}

/// One server, and the connections to it.
#[derive(Debug)]
pub(super) struct Client {
    mirror: Mirror,
    patience: Patience,
    agent: Mutex<Option<Agent>>,
    monitors: Mutex<Vec<Attachment>>,
}

/// A question.
#[derive(Debug, Default)]
pub(super) struct Question<'a> {
    /// What is asked for, from the root of the server.
    pub(super) path: String,
    /// What is known of it.
    pub(super) known: Option<&'a Validators>,
    /// How long the server is asked to wait for something new.
    pub(super) wait: Option<Duration>,
    /// How many bytes the answer may have, which takes time.
    pub(super) bytes: u64,
}

impl Client {
    pub(super) fn new(mirror: Mirror, patience: Patience) -> Arc<Self> {
        Arc::new(Self { mirror, patience, agent: Mutex::default(), monitors: Mutex::default() })
    }

    pub(super) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.mirror.address.origin
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::of_at_least(self.patience.bytes_per_second)
    }

    /// When the last monitor ends, so does what is asked for it.
    pub(super) fn attach(self: &Arc<Self>, monitor: &Attachment) {
        let mut monitors = self.monitors.lock();
        monitors.retain(|monitor| !monitor.is_over());
        monitors.push(monitor.clone());
        drop(monitors);
        let client = Arc::downgrade(self);
        monitor.when_over(move || {
            if let Some(client) = Weak::upgrade(&client)
                && !client.is_wanted()
                && let Some(agent) = client.agent.lock().take()
            {
                agent.shutdown();
            }
        });
    }

    /// Makes all monitors look.
    pub(super) fn ring(&self) {
        let monitors = self.monitors.lock().clone();
        for monitor in monitors {
            // One that is gone looks no more.
            let _heard = monitor.bell.ring();
        }
    }

    /// Whether anybody waits for an answer. Who was never attached asks for itself.
    pub(super) fn is_wanted(&self) -> bool {
        let monitors = self.monitors.lock();
        monitors.is_empty() || monitors.iter().any(|monitor| !monitor.is_over())
    }

    pub(super) fn check_wanted(&self) -> Result<(), FetchError> {
        match self.is_wanted() {
            true => Ok(()),
            false => Err(FetchError::unavailable("nobody waits for it any more")),
        }
    }

    /// Asks, and gives the answer that is no redirect, whatever its status. Blocks.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<Response<Body>, FetchError> {
        let begin = clock::now();
        let wait = question.wait.unwrap_or_default();
        let patience = self.patience.with(question.bytes).saturating_add(wait);
        let origin = self.origin();
        let mut path = question.path.clone();
        self.mirror.check_logger()?;
        for _ in 0..=REDIRECTS_MAX {
            let agent = self.agent()?;
            let url = format!("{origin}{path}");
            check(Operation::Ask, url.as_ref()).map_err(|error| self.failed(error.into()))?;
            let mut request = agent.get(&url);
            if let Some(headers) = request.headers_mut() {
                self.write(question, headers);
            }
            let response = request
                .config()
                .timeout_global(Some(patience.saturating_sub(clock::since(begin))))
                .timeout_recv_response(Some(self.patience.deadline.saturating_add(wait)))
                .timeout_per_read(Some(self.patience.deadline.saturating_add(wait)))
                .build()
                .call()
                .map_err(|error| self.failed(error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            // Where it leads is not repeated: there may be secrets in it.
            path = location.and_then(|location| origin.follow(&path, location)).ok_or_else(|| {
                FetchError::unavailable(format!(
                    "{origin} redirects to another server, which is not followed: name that one, if it is meant"
                ))
            })?;
        }
        Err(FetchError::unavailable(format!("{origin} redirects more than {REDIRECTS_MAX} times")))
    }

    fn write(&self, question: &Question<'_>, headers: &mut HeaderMap) {
        if let Some(value) = self.mirror.credential.as_ref().and_then(Credential::header) {
            headers.insert(AUTHORIZATION, value.clone());
        }
        if let Some(Validators { etag, modified }) = question.known {
            etag.iter().for_each(|etag| drop(headers.insert(IF_NONE_MATCH, etag.clone())));
            modified.iter().for_each(|time| drop(headers.insert(IF_MODIFIED_SINCE, time.clone())));
        }
        if let Some(wait) = question.wait {
            // RFC 7240, 4.3.
            let value = format!("wait={}", wait.as_secs());
            if let Ok(value) = value.parse() {
                headers.insert("prefer", value);
            }
        }
    }

    /// What is wrong. What was read of authorities is read again, where that may help.
    pub(super) fn failed(&self, error: ureq::Error) -> FetchError {
        if let Err(over) = self.check_wanted() {
            return over;
        }
        if is_about_certificates(&error) {
            *self.agent.lock() = None;
        }
        failure(self.origin(), error)
    }

    fn agent(&self) -> Result<Agent, FetchError> {
        let mut agent = self.agent.lock();
        // Who ends the last monitor takes what is there now.
        self.check_wanted()?;
        if let Some(agent) = &*agent {
            return Ok(agent.clone());
        }
        self.mirror.check()?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_response_header_size(HEADER_BYTES_MAX)
            .input_buffer_size(INPUT_BYTES)
            .output_buffer_size(OUTPUT_BYTES)
            .max_idle_age(IDLE_MAX)
            .timeout_resolve(Some(self.patience.deadline.min(CONNECT_MAX)))
            .timeout_connect(Some(self.patience.deadline.min(CONNECT_MAX)))
            .https_only(self.origin().is_private())
            .user_agent(USER_AGENT);
        if let Some(path) = &self.mirror.ca_file {
            config = config.tls_config(TlsConfig::builder().root_certs(authorities(path)?).build());
        }
        if self.origin().is_loopback() {
            config = config.proxy(None);
        }
        Ok(agent.insert(config.build().new_agent()).clone())
    }
}

/// Reads a file of certificates.
fn authorities(path: &std::path::Path) -> Result<RootCerts, FetchError> {
    let shown = path.display();
    let pem = fs::read(path).map_err(|error| {
        FetchError::unavailable(format!("cannot read the certificates in {shown}")).caused_by(error)
    })?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        let item = item.map_err(|error| {
            FetchError::unavailable(format!("{shown} is no file of certificates (PEM)"))
                .caused_by(error)
        })?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(FetchError::unavailable(format!(
            "no certificate is in {shown} (PEM is wanted)"
        )));
    }
    Ok(certificates.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_takes_longer_than_an_hour_and_the_deadline_however_long_it_is() {
        let patience = Patience { deadline: Duration::from_secs(30), bytes_per_second: 1024 };
        assert_eq!(patience.with(10 * 1024), Duration::from_secs(40));
        for bytes in [100 << 20, u64::MAX] {
            assert_eq!(patience.with(bytes), Duration::from_secs(3_630));
        }
    }
}
