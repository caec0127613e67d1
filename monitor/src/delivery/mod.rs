//! Releases of modules that others wrote, from wherever they lie: checked before anything of them is used.
//!
//! A [`Place`] has bytes: a web server, a directory, a database. What may run of them a [`Trust`](hotswap_trust::Trust) decides.

mod place;
#[cfg(feature = "publish")]
mod publish;

pub use place::{Answer, Place};
#[cfg(feature = "publish")]
pub use publish::{
    Contents, DirectoryShelf, EXPIRY_DEFAULT, KeyPair, Line, OpenLine, PublishError,
    PublishErrorKind, Published, Release, Shelf, SignError,
};
