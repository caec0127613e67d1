//! Modules on web servers.

mod address;
mod body;
mod client;
mod credential;
mod failure;
mod headers;
mod long_poll;
mod mirror;
mod place;

pub use address::{AddressError, AddressErrorKind};
pub use mirror::Mirror;
