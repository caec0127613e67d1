//! A module on a web server, as a monitor sees it.

use hotswap_artifact::Source;
use hotswap_trust::Trust;

use super::HttpError;
use super::address::Address;
use super::servers::Servers;
use crate::delivery::Releases;

/// One module on a web server: a source like a directory, of which nothing is believed but what was signed.
///
/// ```no_run
/// use hotswap_monitor::Monitor;
/// use hotswap_monitor::http::{HttpSource, Mirror};
/// use hotswap_trust::Trust;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let trust = Trust::key("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")?;
/// let source = HttpSource::new("https://example.org/modules#greet", trust)?
///     .bearer(&std::env::var("MODULES_TOKEN")?)
///     .mirror(Mirror::new("https://mirror.example.net/modules")?);
/// let (monitor, notifications) = Monitor::builder(source).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HttpSource {
    module: String,
    /// From the first server, as it is by default.
    releases: Releases,
    pub(super) servers: Servers,
}

impl HttpSource {
    /// The module at this address, `https://host/modules#greet`, by whom the host trusts. Asks nobody.
    ///
    /// # Errors
    ///
    /// When this is no such address, no module or channel can be called that, or this user has no home directory and the host did not
    /// say where to keep releases and what is remembered of them.
    pub fn new(address: &str, trust: Trust) -> Result<Self, HttpError> {
        let (address, module) = Address::parse_module(address)?;
        let servers = Servers::new(address);
        let places = servers.places(&module, trust.wanted_channel());
        let releases = Releases::new(&*module, places, trust)?;
        Ok(Self { module, releases, servers })
    }
}

impl From<HttpSource> for Releases {
    fn from(source: HttpSource) -> Self {
        let HttpSource { module, releases, servers } = source;
        let places = servers.places(&module, releases.trust().wanted_channel());
        releases.moved_to(places)
    }
}

impl From<HttpSource> for Source {
    fn from(source: HttpSource) -> Self {
        Releases::from(source).into()
    }
}
