//! Releases that cannot be asked for.

/// What was asked for is no module, lies nowhere, or there is no room to keep it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{module:?}: {kind}")]
#[non_exhaustive]
pub struct ReleasesError {
    /// The module.
    pub module: String,
    /// What is wrong.
    pub kind: ReleasesErrorKind,
}

/// Why releases cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleasesErrorKind {
    /// No module can be called that.
    #[error(
        "no module is called that: ASCII letters, digits, - and _, a letter first, at most 100 bytes"
    )]
    Module,
    /// No channel can be called that.
    #[error(
        "no channel is called {channel:?}: ASCII letters, digits, - and _, a letter first, at most 100 bytes"
    )]
    Channel {
        /// The channel.
        channel: String,
    },
    /// There is no place to ask.
    #[error("no place was named in which its releases lie")]
    NoPlace,
    /// The user has no home directory.
    #[error(
        "this user has no home directory to keep releases in: name directories with `cache_in` and `remember_in`"
    )]
    NoHome,
}
