//! Releases of modules that others wrote, from wherever they lie: checked before anything of them is used.
//!
//! A [`Place`] has bytes: a web server, a directory, a database. What may run of them a [`Trust`] decides.
//! [`Releases`] puts both together: a source like any other. [`ReleasedModules`] are those of a [`Base`], by name.

#[cfg(feature = "sqlite")]
mod believed;
mod cache;
mod collection;
mod directory;
mod error;
mod hand_over;
mod homes;
mod mirrors;
mod place;
#[cfg(feature = "publish")]
mod publish;
mod release;
mod releases;

#[cfg(feature = "sqlite")]
pub(crate) use believed::fetch_believed;
pub use collection::{Base, ReleasedModules};
pub use directory::ReleaseDirectory;
pub use error::{ReleasesError, ReleasesErrorKind};
pub use hotswap_trust::{CodeKind, KeysError, Level, PublicKeys, Trust};
pub use place::{Answer, Place};
#[cfg(feature = "publish")]
pub use publish::{
    Contents, DirectoryShelf, EXPIRY_DEFAULT, KeyPair, Line, OpenLine, PublishError,
    PublishErrorKind, Published, Release, Shelf, SignError,
};
pub use releases::Releases;
