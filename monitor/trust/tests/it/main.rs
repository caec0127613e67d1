//! Hostile servers, mirrors, disks and clocks, each against what a client accepts.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod files;
mod harness;
mod keys;
mod manifests;
mod memory;
mod releases;
mod signatures;
