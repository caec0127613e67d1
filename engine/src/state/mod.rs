//! State that outlives versions: cells, what versions want of them, and the way from one layout to another.
//!
//! A cell and its lock belong to the host. Versions bring the code that makes, copies, converts and drops its value: so a cell is
//! handed from version to version, and any that is mapped and has the cell's layout can serve it.

mod bound;
mod cell;
mod cells;
mod held;
mod info;
mod kinds;
mod migration;
mod plan;
mod problem;
mod saved;
mod settings;
mod value;
mod worker;

pub(crate) use bound::{Bound, CellKey, Entry};
pub(crate) use cell::{Cell, CellOwner, Content, Exclusive, Snapshot, Torn, TornBy};
pub(crate) use cells::{Cells, SHARED};
pub(crate) use held::By;
pub use info::StateInfo;
pub(crate) use kinds::{Glue, Kinds, StateKind};
pub(crate) use migration::{Failed, Job, Migrated, migrate};
pub(crate) use plan::{Plan, plan};
pub use problem::StateProblem;
pub use saved::StateFileError;
pub(crate) use saved::{load, save};
pub(crate) use settings::StateSettings;
pub use settings::{OldCalls, StatePolicy, TornPolicy};
pub(crate) use value::Resting;
pub(crate) use worker::{Late, Worker};
