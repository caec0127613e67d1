//! The publishing side: a release is made, signed, and put where hosts look for it.
//!
//! ```
//! use hotswap_monitor::delivery::{Contents, DirectoryShelf, KeyPair, Release};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let (greet, releases) = (directory.path().join("greet.rs"), directory.path().join("releases"));
//! # std::fs::write(&greet, "pub fn greet() {}")?;
//! # let key = KeyPair::generate(None)?;
//! let release = Release::new("greet", Contents::file(&greet)?).signed_by(key);
//! # let release = release.remember_in(directory.path().join("published"));
//! let published = release.publish(&mut DirectoryShelf::new(&releases))?;
//! assert_eq!(published.counter, 1);
//! assert!(releases.join("greet/stable/hotswap.manifest").is_file());
//! # Ok(())
//! # }
//! ```

mod contents;
mod directory;
mod error;
mod memory;
mod release;
mod shelf;

pub use self::contents::Contents;
pub use self::directory::DirectoryShelf;
pub use self::error::{PublishError, PublishErrorKind};
pub use self::release::{EXPIRY_DEFAULT, Published, Release};
pub use self::shelf::{Line, OpenLine, Shelf};
pub use hotswap_trust::{KeyPair, SignError};
