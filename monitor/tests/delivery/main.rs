//! Releases from places that lie, lag behind, break off or are gone. Tests carry the rows of the threat model that they prove.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod hostile;
mod kept;
mod mirrors;
mod plain;
mod time;
mod world;
