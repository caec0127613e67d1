//! Where releases are kept, and where it is remembered which were accepted.

use std::ffi::OsString;
use std::path::PathBuf;

use hotswap_trust::Trust;

/// The directories of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Homes {
    pub(super) cache: PathBuf,
    pub(super) state: PathBuf,
}

impl Homes {
    /// What the host said, or else where the user keeps such things.
    pub(super) fn of(trust: &Trust) -> Option<Self> {
        Self::found(trust, |variable| std::env::var_os(variable))
    }

    fn found(trust: &Trust, variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let usual = |name: &str, below_home: &str| {
            // The standard has relative ones be passed over.
            let absolute = |text: OsString| Some(PathBuf::from(text)).filter(|p| p.is_absolute());
            let named = variable(name).and_then(absolute);
            let home = || Some(variable("HOME").and_then(absolute)?.join(below_home));
            Some(named.or_else(home)?.join("hotswap"))
        };
        let absolute =
            |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let cache = match trust.cache_directory() {
            Some(named) => absolute(named),
            None => usual("XDG_CACHE_HOME", ".cache")?,
        };
        let state = match trust.state_directory() {
            Some(named) => absolute(named),
            None => usual("XDG_STATE_HOME", ".local/state")?.join("trust"),
        };
        Some(Self { cache, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(trust: &Trust, variables: &[(&str, &str)]) -> Option<Homes> {
        Homes::found(trust, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn what_the_host_says_comes_before_what_the_user_has() {
        let homes =
            |cache: &str, state: &str| Some(Homes { cache: cache.into(), state: state.into() });
        let anybody = Trust::anybody();
        let user = [("HOME", "/home/ann")];
        let usual = homes("/home/ann/.cache/hotswap", "/home/ann/.local/state/hotswap/trust");
        assert_eq!(found(&anybody, &user), usual);
        let named = [("XDG_CACHE_HOME", "/var/c"), ("XDG_STATE_HOME", "/var/s")];
        assert_eq!(found(&anybody, &named), homes("/var/c/hotswap", "/var/s/hotswap/trust"));
        let relative = [("HOME", "/home/ann"), ("XDG_CACHE_HOME", "c"), ("XDG_STATE_HOME", "")];
        assert_eq!(found(&anybody, &relative), usual);
        let told = anybody.clone().cache_in("/c").remember_in("/s");
        assert_eq!(found(&told, &named), homes("/c", "/s"));
        assert_eq!(found(&anybody, &[]), None);
        assert_eq!(found(&anybody.cache_in("/c"), &[]), None);
    }
}
