//! What no source on a web server can be made of.

use thiserror::Error;

use crate::delivery::{ReleasesError, ReleasesErrorKind};

/// An address is none of modules, or what is there cannot be asked for. The text does not repeat the address: there may be a password
/// in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind}")]
#[non_exhaustive]
pub struct HttpError {
    /// What is wrong.
    pub kind: HttpErrorKind,
}

/// What is wrong with an address, or what is there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// It is none of `http` or `https`.
    #[error("this is no address of a web server: write https://host/modules")]
    Malformed,
    /// A user, a password or a token stands in it.
    #[error(
        "a user or a password stands in the address, where logs would show it: leave it out, and give it to `basic` or `bearer`"
    )]
    Credentials,
    /// It has a query.
    #[error(
        "the address has a query, which a directory of modules has not: leave out what follows the ?"
    )]
    Query,
    /// It names no module.
    #[error("the address names no module: write https://host/modules#greet")]
    NoModule,
    /// It names a module where a directory of them is meant.
    #[error(
        "the address names a module where all of them are meant: leave out the # and what follows"
    )]
    OneModule,
    /// The module or the channel is none, or there is no room to keep it.
    #[error(transparent)]
    Releases(#[from] ReleasesErrorKind),
}

impl From<HttpErrorKind> for HttpError {
    fn from(kind: HttpErrorKind) -> Self {
        Self { kind }
    }
}

impl From<ReleasesError> for HttpError {
    fn from(error: ReleasesError) -> Self {
        Self { kind: error.kind.into() }
    }
}
