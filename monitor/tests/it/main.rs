//! The monitor as its users see it: notifications and observations.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where; the lint knows test functions only, not what they call"
)]

mod aborted;
mod direct;
mod editors;
mod events;
mod fake;
mod groups;
mod harness;
mod holds;
mod limits;
mod loop_with_a_fake;
mod promises;
mod real_crates;
mod real_files;
mod real_processes;
mod remembered;
mod sandbox;
mod sandbox_calls;
mod shared;
mod superseded;
mod sync;
