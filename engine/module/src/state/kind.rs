//! What a state type is.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::link::CellLinks;
use crate::abi::Abi;

/// A type whose values survive swaps. Written by `#[state]`.
///
/// The bounds are what keeps it independent of the code that made it: [`Abi`] is owned plain data that cannot
/// point into an image.
///
/// # Safety
///
/// No other type has this one's schema and version, nor its `links`; so leave it to `#[state]`. (That no other type of a
/// module has its schema and version is looked at when it is loaded.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no state type",
    label = "not declared with `#[state(version = ..)]`",
    note = "write `#[state(version = 1)]` on the struct"
)]
pub unsafe trait StateType: Abi + Send + Sync + Serialize + DeserializeOwned {
    /// What values of all versions of it are known by.
    const SCHEMA: &'static str;

    /// Which form of the schema this is.
    const VERSION: u16;

    /// Where its cells are found: a static of its own.
    #[doc(hidden)]
    fn links() -> &'static CellLinks;

    /// The value of a new cell; `None` for a former version, of which none is made.
    #[doc(hidden)]
    fn initial() -> Option<Self>;

    /// What must be true of a value that comes out of a migration.
    #[doc(hidden)]
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
