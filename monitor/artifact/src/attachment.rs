//! What a monitor gives to what it fetches from, before its first look.

use std::fmt;
use std::sync::Arc;

/// Makes a monitor look, from any thread.
#[derive(Clone)]
pub struct Bell(Arc<dyn Fn() -> bool + Send + Sync>);

impl Bell {
    /// A bell; the function says whether anybody heard it.
    #[must_use]
    pub fn new(ring: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ring))
    }

    /// Asks for a look, and does not wait for it. Whether the monitor is still there.
    #[must_use = "a bell that nobody hears can be dropped"]
    pub fn ring(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

/// What the code is to run in: what was built elsewhere has to be for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// The target triple: `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// The boundary between host and modules, by its number.
    pub abi: String,
    /// The compiler, as `rustc -vV` names it first.
    pub toolchain: String,
}

impl Host {
    /// A host of this target, boundary and compiler.
    #[must_use]
    pub fn new(
        target: impl Into<String>,
        abi: impl Into<String>,
        toolchain: impl Into<String>,
    ) -> Self {
        Self { target: target.into(), abi: abi.into(), toolchain: toolchain.into() }
    }
}

/// What a monitor gives to what it fetches from: [`Fetch::attach`](crate::Fetch::attach).
#[derive(Clone)]
#[non_exhaustive]
pub struct Attachment {
    /// Rung when something may have changed.
    pub bell: Bell,
    /// What the code is to run in; `None` for a monitor that was not told.
    pub host: Option<Host>,
    is_over: Arc<dyn Fn() -> bool + Send + Sync>,
    when_over: Option<Arc<WhenOver>>,
}

/// Has work done at the end of a monitor.
type WhenOver = dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync;

impl Attachment {
    /// A monitor that is attached; the function says whether it is over.
    #[must_use]
    pub fn new(
        bell: Bell,
        host: Option<Host>,
        is_over: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { bell, host, is_over: Arc::new(is_over), when_over: None }
    }

    /// The function has what it gets done when the monitor ends, and at once when it is over.
    #[must_use]
    pub fn telling_end(
        mut self,
        when_over: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static,
    ) -> Self {
        self.when_over = Some(Arc::new(when_over));
        self
    }

    /// Whether the monitor is to end, so that whatever goes on for it should end too. Cheap.
    #[must_use]
    pub fn is_over(&self) -> bool {
        (self.is_over)()
    }

    /// Has this done when the monitor is to end, so that what waits for somebody else can be woken: by the thread that ends
    /// it, which must not be held up. Never, where nobody [tells](Self::telling_end).
    pub fn when_over(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(when_over) = &self.when_over {
            when_over(Box::new(work));
        }
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("host", &self.host)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}
