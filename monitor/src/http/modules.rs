//! All modules of a web server, by name.

use hotswap_artifact::{Collection, FetchError, ModuleName, Source};
use hotswap_trust::Trust;

use super::HttpError;
use super::address::Address;
use super::servers::Servers;
use crate::delivery::ReleasedModules;

/// The modules of a web server, for a registry of engines. They are loaded by name: a web server has files, and no list of them.
#[derive(Debug, Clone)]
pub struct HttpModules {
    trust: Trust,
    pub(super) servers: Servers,
}

impl HttpModules {
    /// The modules below this address, `https://host/modules`, by whom the host trusts. Asks nobody.
    ///
    /// # Errors
    ///
    /// When this is no such address.
    pub fn new(address: &str, trust: Trust) -> Result<Self, HttpError> {
        Ok(Self { trust, servers: Servers::new(Address::parse(address)?) })
    }

    fn released(&self) -> ReleasedModules {
        ReleasedModules::new(self.servers.bases(), self.trust.clone())
    }
}

impl Collection for HttpModules {
    fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
        self.released().names()
    }

    fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
        self.released().source(name)
    }

    fn place(&self, name: &ModuleName) -> Option<Source> {
        self.released().place(name)
    }
}
