//! What shows a server who asks.

use std::fmt;

use ct_codecs::{Base64, Encoder as _};
use ureq::http::HeaderValue;

/// What a server is shown, and nobody else: no text of it is in any log, error or name.
#[derive(Clone)]
pub(super) struct Credential(Option<HeaderValue>);

impl Credential {
    /// A token, as RFC 6750 has it.
    pub(super) fn bearer(token: &str) -> Self {
        Self::of(&format!("Bearer {token}"))
    }

    /// A user with a password, as RFC 7617 has it. A user with a colon has no such form.
    pub(super) fn basic(user: &str, password: &str) -> Self {
        let both = (!user.contains(':')).then(|| format!("{user}:{password}"));
        let encoded = both.and_then(|both| Base64::encode_to_string(both).ok());
        encoded.map_or(Self(None), |encoded| Self::of(&format!("Basic {encoded}")))
    }

    fn of(text: &str) -> Self {
        let value = HeaderValue::from_str(text).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Self(value)
    }

    /// The value of the header `Authorization`; `None` when it cannot be one.
    pub(super) fn header(&self) -> Option<&HeaderValue> {
        self.0.as_ref()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_the_standards_say_and_is_not_shown() {
        let basic = Credential::basic("Aladdin", "open sesame");
        let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(basic.header().unwrap(), expected);
        assert_eq!(Credential::bearer("geheim").header().unwrap(), "Bearer geheim");
        let shown = format!("{basic:?} {:?}", basic.header().unwrap());
        assert!(!shown.contains("QWxh"), "{shown}");
        assert!(Credential::basic("a:b", "").header().is_none());
        assert!(Credential::bearer("two\r\nlines").header().is_none());
    }
}
