//! What the integration tests share: modules to load, crates to edit, scripts to run, and waiting
//! with a deadline.
//!
//! Tests about swaps alternate libraries of [`prebuilt`], which are built once; tests about builds edit a
//! [`CrateFixture`]. Nobody sleeps to wait: events and channels are waited for with a [`deadline`].

pub mod counted;
pub mod database_world;
pub mod deadline;
pub mod elf;
pub mod fake_compiler;
pub mod fault_case;
pub mod fault_world;
mod fixture;
pub mod fuzz;
pub mod hostile;
mod isolated;
mod log_lines;
pub mod maps;
pub mod members;
pub mod mutation;
pub mod origin;
pub mod place;
pub mod plugins;
pub mod prebuilt;
pub mod release_world;
pub mod released;
pub mod script;
pub mod siege;
pub mod simulation;
pub mod soak;
mod workspace;

pub use fixture::{CrateFixture, FileFixture, versioned};
pub use isolated::{again, is_isolated, isolated, isolated_under};
pub use log_lines::{LogLine, log_lines};
pub use workspace::{build_directory, workspace_root};
