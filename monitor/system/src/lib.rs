//! The world as [hotswap-engine](https://docs.rs/hotswap-engine) reaches it: files, processes, threads, sockets and time.
//!
//! Every step of the engine and of its monitor that can fail for a reason outside this program goes through here, and a
//! test of the workspace refuses the standard library's own functions anywhere else. With the feature `simulation` a
//! test can list the steps that a piece of work takes ([`fault`]), make any of them fail or panic, and stop the clock.
//! Without it the functions are those of the standard library.
//!
//! Web servers are asked by a crate that has sockets of its own; before each question `fault::Operation::Ask` is checked.
//!
//! No part of the public API of hotswap-engine: this may change with every release.

pub mod clock;
pub mod directory;
pub mod fault;
pub mod fs;
pub mod mapping;
pub mod process;
mod removal;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod socket;
pub mod thread;
