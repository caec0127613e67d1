//! Where a web server is.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;

use super::HttpErrorKind;

/// The directory of modules on a web server: `https://example.org/modules`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) origin: Origin,
    /// `/modules`; empty at the top.
    pub(super) path: String,
}

/// Who is asked, and by nobody else is what they are told: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    /// In lower case; an address of IPv6 in brackets.
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn of(uri: &Uri) -> Option<Self> {
        match uri.scheme_str()? {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Address {
    /// Reads an address without a module.
    pub(super) fn parse(text: &str) -> Result<Self, HttpErrorKind> {
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        // Also where there is more than one @, and readers differ.
        if authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
        {
            return Err(HttpErrorKind::Credentials);
        }
        if text.contains('#') {
            return Err(HttpErrorKind::OneModule);
        }
        if text.contains('?') {
            return Err(HttpErrorKind::Query);
        }
        let uri: Uri = text.parse().map_err(|_| HttpErrorKind::Malformed)?;
        let origin = Origin::of(&uri).ok_or(HttpErrorKind::Malformed)?;
        Ok(Self { origin, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Reads the address of a module.
    pub(super) fn parse_module(text: &str) -> Result<(Self, String), HttpErrorKind> {
        let (address, module) = text.split_once('#').unwrap_or((text, ""));
        let address = Self::parse(address)?;
        match module {
            "" => Err(HttpErrorKind::NoModule),
            module => Ok((address, module.to_owned())),
        }
    }

    /// The path of something below it.
    pub(super) fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let scheme = Scheme::of(uri)?;
        // A user is no part of an origin, and never sent.
        let authority = uri.authority().filter(|all| !all.as_str().contains('@'))?;
        let host = authority.host().to_ascii_lowercase();
        let port = match authority.as_str().get(host.len()..)? {
            "" => scheme.default_port(),
            rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
        };
        (!host.is_empty()).then_some(Self { scheme, host, port })
    }

    /// Whether what is said there is for its ears only, and it is who it says it is.
    pub(super) fn is_private(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// Where a redirect from `path` leads, on this very server; `None` where it leads to another.
    pub(super) fn follow(&self, path: &str, location: &str) -> Option<String> {
        let location = location.split('#').next().unwrap_or_default();
        let before = location.split(['/', '?']).next().unwrap_or_default();
        if before.contains(':') || location.starts_with("//") {
            let whole = match location.strip_prefix("//") {
                Some(rest) => format!("{}://{rest}", self.scheme.word()),
                None => location.to_owned(),
            };
            let uri: Uri = whole.parse().ok()?;
            let target = uri.path_and_query().map(|target| target.as_str().to_owned());
            return target.filter(|_| Self::of(&uri).as_ref() == Some(self));
        }
        let own = path.split('?').next().unwrap_or_default();
        if location.starts_with('/') {
            return Some(location.to_owned());
        }
        if location.is_empty() || location.starts_with('?') {
            return Some(format!("{own}{location}"));
        }
        let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
        Some(without_dots(&format!("{folder}/{location}")))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.word(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// A path as a server takes it: `/a/../b` is `/b`. *Source*: RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let (path, query) = path.find('?').map_or((path, ""), |at| path.split_at(at));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn an_address_has_one_form() {
        for (text, expected) in [
            ("https://Example.org/modules/", "https://example.org/modules"),
            ("https://example.org:443", "https://example.org"),
            ("http://localhost:8080/a/b", "http://localhost:8080/a/b"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            assert_eq!(address(text).to_string(), expected);
        }
        for text in [
            "",
            "modules",
            "ftp://host/",
            "https://",
            "https://host:0/",
            "https://host:x/",
            "https://a b/",
        ] {
            assert_eq!(Address::parse(text), Err(HttpErrorKind::Malformed), "{text}");
        }
    }

    #[test]
    fn what_may_be_secret_is_refused_and_not_repeated() {
        for text in [
            "https://user:geheim@host/modules",
            "https://geheim@host/modules#greet",
            "https://geheim@host@other",
            "https://user:geheim@host:port/",
        ] {
            let kind = Address::parse(text).unwrap_err();
            assert_eq!(kind, HttpErrorKind::Credentials, "{text}");
            assert!(!format!("{kind} {kind:?}").contains("geheim"));
            assert!(kind.to_string().contains("`basic`"));
        }
        let kind = Address::parse("https://host/modules?token=geheim").unwrap_err();
        assert_eq!(kind, HttpErrorKind::Query);
        assert!(!kind.to_string().contains("geheim"));
    }

    #[test]
    fn this_machine_is_known() {
        for text in
            ["http://localhost", "http://127.8.9.1:8080", "http://[::1]", "http://LOCALHOST:1"]
        {
            assert!(address(text).origin.is_loopback(), "{text}");
        }
        for text in ["http://localhost.example.org", "http://10.0.0.1", "http://127.example.org"] {
            assert!(!address(text).origin.is_loopback(), "{text}");
        }
    }

    #[test]
    fn d16_redirects_lead_nowhere_else() {
        let origin = address("https://host/modules").origin;
        let follow = |location| origin.follow("/modules/greet/stable/hotswap.manifest", location);
        for (location, expected) in [
            ("/other", "/other"),
            ("other?a=/b", "/modules/greet/stable/other?a=/b"),
            ("../beta/./x", "/modules/greet/beta/x"),
            ("../../../../../x", "/x"),
            ("?again", "/modules/greet/stable/hotswap.manifest?again"),
            ("https://host/x#y", "/x"),
            ("https://HOST:443/x", "/x"),
            ("//host/x", "/x"),
            ("a/b:c", "/modules/greet/stable/a/b:c"),
        ] {
            assert_eq!(follow(location).as_deref(), Some(expected), "{location}");
        }
        for location in [
            "http://host/x",
            "https://host:444/x",
            "https://other/x",
            "https://host.other/x",
            "//other/x",
            "https://user@host/x",
            "https://host@other/x",
            "HTTP://host/x",
            "file:///etc/passwd",
            "javascript:x",
            "https:///x",
        ] {
            assert_eq!(follow(location), None, "{location}");
        }
    }
}
