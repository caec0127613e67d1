//! All modules of a registry, by name and by source.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hotswap_artifact::{Collection, ModuleName, Source, Trigger};
use parking_lot::{Mutex, RwLock};

use super::calls::{Link, ModuleCalls};
use super::member::Member;
use super::{ModuleError, ModuleErrorKind, ModuleStatus};
use crate::builder::EngineBuilder;
use crate::engine::Engine;
use crate::error::{OpenError, ReloadError};
use crate::request::{Answer, Request};
use crate::shared::Shared;
use crate::verdict::Verdict;
use crate::version_id::VersionId;

/// What is done to the builder of each module's engine.
pub(super) type Each = Box<dyn Fn(&str, EngineBuilder) -> EngineBuilder + Send + Sync>;

/// How engines of modules are opened.
pub(super) struct ModuleSettings {
    pub(super) poll_every: Duration,
    /// `None` writes none.
    pub(super) log: Option<PathBuf>,
    pub(super) each: Vec<Each>,
}

/// Everything of a registry but the handle to it.
pub(crate) struct Registry {
    collection: Box<dyn Collection>,
    settings: ModuleSettings,
    table: RwLock<Table>,
    /// The threads that serve all of them; started for the first.
    shared: Mutex<Option<Shared>>,
    is_closed: AtomicBool,
    /// For its modules, which do not keep it.
    this: Weak<Self>,
}

#[derive(Default)]
struct Table {
    /// By all names that somebody used.
    by_name: HashMap<String, Arc<Member>>,
    /// By the identity of its source.
    by_source: HashMap<Source, Arc<Member>>,
    /// In the order in which they were first asked for.
    all: Vec<Arc<Member>>,
}

impl Registry {
    pub(super) fn new(collection: Box<dyn Collection>, settings: ModuleSettings) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            collection,
            settings,
            table: RwLock::default(),
            shared: Mutex::default(),
            is_closed: AtomicBool::new(false),
            this: Weak::clone(this),
        })
    }

    pub(super) fn collection(&self) -> &dyn Collection {
        &*self.collection
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire pairs with the Release in `close`.
        self.is_closed.load(Ordering::Acquire)
    }

    /// An error when it is closed.
    pub(super) fn is_open(&self) -> Result<(), ModuleErrorKind> {
        if self.is_closed() { Err(ModuleErrorKind::Closed) } else { Ok(()) }
    }

    /// Whoever was asked for, in that order.
    pub(crate) fn all(&self) -> Vec<Arc<Member>> {
        self.table.read().all.clone()
    }

    /// All names by which modules were asked for.
    pub(super) fn by_name(&self) -> Vec<(String, Arc<Member>)> {
        let table = self.table.read();
        table.by_name.iter().map(|(name, member)| (name.clone(), Arc::clone(member))).collect()
    }

    /// The module that is loaded under this name, or was.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Member>> {
        let table = self.table.read();
        let normal = || ModuleName::new(name).ok();
        let found = table.by_name.get(name);
        found.or_else(|| table.by_name.get(normal()?.as_str())).cloned()
    }

    /// The module of this name. One that is not loaded is looked for in the collection anew: it may lie elsewhere by now.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Member>, ModuleErrorKind> {
        self.is_open()?;
        if let Some(member) = self.known(name).filter(|member| member.is_wanted()) {
            return Ok(member);
        }
        let name = ModuleName::new(name).map_err(ModuleErrorKind::Name)?;
        let source = self.collection.source(&name).map_err(ModuleErrorKind::Collection)?;
        Ok(self.member(name.as_str(), source.ok_or(ModuleErrorKind::Missing)?))
    }

    /// The module of this source, whatever it is called.
    pub(super) fn find_source(&self, source: Source) -> Result<Arc<Member>, ModuleErrorKind> {
        self.is_open()?;
        let identity = source.identity();
        // Told from the names of a collection, which have neither `:` nor a leading `/`.
        let name = match &identity {
            Source::Crate(path) | Source::File(path) | Source::Prebuilt(path) => {
                path.display().to_string()
            }
            other => format!("{}:{other}", other.kind()),
        };
        Ok(self.member(&name, source))
    }

    /// The module of this source: by what it was called first, it is known in the log.
    fn member(&self, name: &str, source: Source) -> Arc<Member> {
        let identity = source.identity();
        let mut table = self.table.write();
        let member = match table.by_source.get(&identity) {
            Some(member) => Arc::clone(member),
            None => {
                let member = Member::new(name.to_owned(), source, Weak::clone(&self.this));
                table.by_source.insert(identity, Arc::clone(&member));
                table.all.push(Arc::clone(&member));
                member
            }
        };
        if let Some(before) = table.by_name.insert(name.to_owned(), Arc::clone(&member))
            && !Arc::ptr_eq(&before, &member)
            && !before.is_wanted()
        {
            // What it was called lies elsewhere now.
            table.by_source.retain(|_, known| !Arc::ptr_eq(known, &before));
            table.by_name.retain(|_, known| !Arc::ptr_eq(known, &before));
            table.all.retain(|known| !Arc::ptr_eq(known, &before));
        }
        member
    }

    /// The threads that serve all engines.
    fn shared(&self, source: &Source) -> Result<Shared, ModuleErrorKind> {
        let mut shared = self.shared.lock();
        if let Some(shared) = &*shared {
            return Ok(shared.clone());
        }
        let started = Shared::start(self.settings.poll_every);
        let started = started
            .map_err(|kind| ModuleErrorKind::Open(OpenError::new(source.to_string(), kind)))?;
        Ok(shared.insert(started).clone())
    }

    /// Does something while no group is being swapped. It must not wait for a swapper.
    pub(super) fn pin<T>(&self, pin: impl FnOnce() -> T) -> T {
        let crew = self.shared.lock().as_ref().map(|shared| shared.crew.clone());
        let _unchanged = crew.as_ref().map(|crew| crew.pin_lock().read());
        pin()
    }

    /// Opens the engine of a module.
    pub(super) fn open(&self, member: &Arc<Member>) -> Result<Engine, ModuleErrorKind> {
        let engine = Engine::builder(member.source().clone())
            .name(member.name())
            .on(&self.shared(member.source())?)
            .module(Arc::downgrade(member));
        let engine = match &self.settings.log {
            Some(path) => engine.log_file(path),
            None => engine.without_log(),
        };
        let each = |engine, each: &Each| each(member.name(), engine);
        let engine = self.settings.each.iter().fold(engine, each);
        engine.open().map_err(ModuleErrorKind::Open)
    }

    /// Loads a module, if it is not loaded.
    pub(crate) fn load(
        &self,
        name: &str,
        by: &dyn Fn() -> String,
    ) -> Result<VersionId, ModuleError> {
        let version = self.find(name).and_then(|member| member.with_engine(by, Engine::version));
        version.map_err(|kind| ModuleError::new(name, kind))
    }

    /// The module of this name, which was loaded at some time.
    pub(super) fn loaded_member(&self, name: &str) -> Result<Arc<Member>, ModuleError> {
        self.known(name).ok_or_else(|| ModuleError::new(name, ModuleErrorKind::NotLoaded))
    }

    /// Unloads a module, unless somebody uses it.
    pub(crate) fn unload(&self, name: &str) -> Result<(), ModuleError> {
        let member = self.loaded_member(name)?;
        member.unload().map_err(|kind| ModuleError::new(name, kind))
    }

    /// Has all that are loaded looked at, and waits for the verdicts. All are asked before the first is waited for.
    pub(crate) fn reload_all(&self) -> Vec<(String, Result<Verdict, ReloadError>)> {
        let ask = |member: &Arc<Member>| {
            let core = member.core()?;
            let asked = core.begin(|reply| Request::Look {
                trigger: Trigger::Manual,
                answer: Some(Answer { reply, forces: true }),
            });
            Some((member.name().to_owned(), asked, core))
        };
        let asked: Vec<_> = self.all().iter().filter_map(ask).collect();
        let verdicts = asked.into_iter();
        verdicts
            .map(|(name, asked, core)| (name, asked.and_then(|asked| core.verdict(&asked))))
            .collect()
    }

    /// What is loaded.
    pub(crate) fn status(&self) -> Vec<ModuleStatus> {
        let status = |member: &Arc<Member>| {
            let name = member.name().to_owned();
            let engine = member.core()?.status();
            Some(ModuleStatus { name, engine, users: member.users().list() })
        };
        self.all().iter().filter_map(status).collect()
    }

    /// The way from one module to another, by the name that the first one uses.
    pub(super) fn link(
        &self,
        from: &Member,
        name: &str,
    ) -> Result<(Arc<Link>, Arc<Member>), ModuleErrorKind> {
        let callee = self.find(name)?;
        Ok((from.links().to(name, from.name(), &callee), callee))
    }

    /// The calls between modules.
    pub(crate) fn calls(&self) -> Vec<ModuleCalls> {
        let all = self.all();
        let mut calls: Vec<_> = all.iter().flat_map(|member| member.links().records()).collect();
        calls.sort_by(|left, right| {
            (&left.caller, &left.callee).cmp(&(&right.caller, &right.callee))
        });
        // By several names of one module.
        calls.dedup_by(|next, kept| {
            let is_same = (&next.caller, &next.callee) == (&kept.caller, &kept.callee);
            if is_same {
                kept.count += next.count;
                kept.under_way += next.under_way;
            }
            is_same
        });
        calls
    }

    /// Closes all engines, in the order in which they were asked for: who loads others by calling them goes before them.
    pub(super) fn close(&self) {
        // Release pairs with the Acquire in `is_closed`: an engine that is opened meanwhile sees it, or is seen below.
        self.is_closed.store(true, Ordering::Release);
        let all = std::mem::take(&mut *self.table.write()).all;
        all.iter().for_each(|member| member.close());
    }
}
