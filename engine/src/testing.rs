//! Ways in for the tests of this project. No part of the interface: all of it may change at any time.

use std::io;

use crate::builder::EngineBuilder;
use crate::shared::Shared;
use crate::swapper::Crew;

/// Threads that several engines share.
#[derive(Debug, Clone)]
pub struct Together(Shared);

impl Together {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start() -> io::Result<Self> {
        Ok(Self(Shared { crew: Crew::start()? }))
    }

    /// Has an engine be one of those.
    pub fn member(&self, builder: EngineBuilder) -> EngineBuilder {
        builder.on(&self.0)
    }
}
