//! Calls between modules: who calls whom, and how often.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use hotswap_module::__private::RawCall;
use hotswap_module::{CallError, CallErrorKind};
use parking_lot::RwLock;

use crate::core::Core;
use crate::modules::ModuleErrorKind;
use crate::modules::member::Member;
use crate::services::ImageContext;
use crate::siblings::Sibling;
use crate::slot::Entered;
use crate::version::Version;

/// The calls of one module to another, recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleCalls {
    /// The module that calls.
    pub caller: String,
    /// The module that is called.
    pub callee: String,
    /// How many calls there were.
    pub count: u64,
    /// How many of them are under way.
    pub under_way: usize,
}

/// The way from one module to another. Found once by each name, and counted on without a lock.
#[derive(Debug)]
pub(crate) struct Link {
    caller: String,
    name: String,
    callee: Weak<Member>,
    count: AtomicU64,
    under_way: AtomicUsize,
}

impl Link {
    fn new(caller: &str, callee: &Arc<Member>) -> Self {
        Self {
            caller: caller.to_owned(),
            name: callee.name().to_owned(),
            callee: Arc::downgrade(callee),
            count: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
        }
    }

    /// The module that calls.
    pub(crate) fn caller(&self) -> &str {
        &self.caller
    }

    pub(crate) fn under_way(&self) -> usize {
        // SeqCst: with `Users::watch`, as there.
        self.under_way.load(Ordering::SeqCst)
    }

    pub(crate) fn record(&self) -> ModuleCalls {
        ModuleCalls {
            caller: self.caller.clone(),
            callee: self.name.clone(),
            // Relaxed: a count, which orders nothing.
            count: self.count.load(Ordering::Relaxed),
            under_way: self.under_way(),
        }
    }

    /// The module that is called, while its registry is there.
    pub(super) fn callee(&self) -> Option<Arc<Member>> {
        self.callee.upgrade()
    }

    /// Counts a call until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>, callee: Arc<Member>) -> UnderWay {
        // Relaxed: a count, which orders nothing.
        self.count.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay { link: Arc::clone(self), callee }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "module {}", self.caller)
    }
}

/// What a call of another module runs in, mapped until this is dropped.
enum Resolved<'a> {
    Current(Entered<'a>),
    /// What was replaced together with the version that calls.
    Sibling(Arc<Version>),
}

impl Resolved<'_> {
    fn version(&self) -> &Version {
        match self {
            Self::Current(entered) => entered.version(),
            Self::Sibling(version) => version,
        }
    }
}

/// Which version of another module a call out of an image runs in: the current one; but for a version that was replaced together
/// with others, the one that belongs with it.
///
/// The one place where that is decided, by whoever calls: its engine's own calls do not come by.
fn resolve<'a>(callee: &'a Core, calling: &ImageContext) -> Resolved<'a> {
    // First: siblings are noted before pointers are written, so that who enters a version of afterwards is told below.
    let entered = callee.slot.enter();
    let Some(version) = calling.version::<Version>() else { return Resolved::Current(entered) };
    if !version.siblings.is_any() {
        return Resolved::Current(entered);
    }
    match version.siblings.of(callee.member()) {
        Sibling::Version(sibling) => Resolved::Sibling(sibling),
        // Gone: the call is of a thread of its own, or too deep to be seen. What it belonged with is nowhere any more.
        Sibling::Current | Sibling::Gone => Resolved::Current(entered),
    }
}

/// Makes a call of one module in another, which is loaded first if it is not.
///
/// # Safety
///
/// As `Caller::call_raw`.
pub(crate) unsafe fn call(
    caller: &Member,
    calling: &ImageContext,
    module: &str,
    call: RawCall<'_>,
) -> Result<(), Box<CallError>> {
    let name = call.name;
    let (core, under_way) =
        caller.call(module).map_err(|kind| Box::new(no_module(module, &kind)))?;
    let resolved = resolve(&core, calling);
    // SAFETY: the contract of this function; and the version is mapped until the call has returned.
    let called = unsafe { core.call_in(resolved.version(), call) };
    drop(resolved);
    drop(under_way);
    called.map_err(|mut error| {
        // Whose function it is, and whose version.
        error.function = format!("{module}::{name}");
        error
    })
}

/// Has another module loaded.
pub(crate) fn find(caller: &Member, module: &str) -> Result<(), CallError> {
    caller.find(module).map_err(|kind| no_module(module, &kind))
}

/// A call of one module to another that has not returned: the other is not unloaded meanwhile.
#[derive(Debug)]
pub(crate) struct UnderWay {
    link: Arc<Link>,
    callee: Arc<Member>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.link.under_way.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.callee.users().left();
        }
    }
}

/// Which modules one module has called, by the names that it used.
#[derive(Debug, Default)]
pub(crate) struct Links(RwLock<HashMap<String, Arc<Link>>>);

impl Links {
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Link>> {
        self.0.read().get(name).cloned()
    }

    /// The link of this name to this module: the one that is there, or a new one, in the place of one to another module.
    pub(super) fn to(&self, name: &str, caller: &str, callee: &Arc<Member>) -> Arc<Link> {
        let mut links = self.0.write();
        if let Some(link) = links.get(name)
            && link.callee.as_ptr() == Arc::as_ptr(callee)
        {
            return Arc::clone(link);
        }
        let link = Arc::new(Link::new(caller, callee));
        callee.users().add_link(&link);
        links.insert(name.to_owned(), Arc::clone(&link));
        link
    }

    pub(crate) fn records(&self) -> Vec<ModuleCalls> {
        self.0.read().values().map(|link| link.record()).collect()
    }
}

/// What a module is told that asked for another.
#[cold]
pub(crate) fn no_module(name: &str, kind: &ModuleErrorKind) -> CallError {
    let message = format!("module {name}: {}", crate::audit::chain(kind));
    CallError::new(name, None, CallErrorKind::NoModule { message })
}
