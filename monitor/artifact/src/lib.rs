//! Plain data that both halves of hotswap-engine share.
//!
//! The monitor turns a [`Source`] into an [`Artifact`] and says so in a
//! [`Notification`]; the engine loads it. Neither side knows the other, both
//! know these types. An [`UnderWay`] goes with a change all the way, so that it
//! can be told to end. Nothing here starts a thread, a process or a clock.

#![forbid(unsafe_code)]

mod artifact;
mod attachment;
mod build_error;
mod collection;
mod fetch;
mod group;
mod hash;
mod notification;
mod source;
mod under_way;

pub use artifact::{Artifact, Origin};
pub use attachment::{Attachment, Bell, Host};
pub use build_error::{BuildError, BuildErrorKind, Diagnostics};
pub use collection::{Collection, Directory, ModuleName, ModuleNameError, OrElse};
pub use fetch::{Assurance, Fetch, FetchError, FetchErrorKind, Fetched, Pause, Woken};
pub use group::{Group, MemberId};
pub use hash::{ContentHash, ContentHasher, Fingerprint, FingerprintHasher, ParseHashError};
pub use notification::{Cause, Notification, Outcome, ScanError, Ticket, Trigger};
pub use source::{Chain, ChainLink, FetchedSource, Source, StringSource, WhenDown};
pub use under_way::{Abortable, Ending, Stage, UnderWay};
