//! What each command does to a registry of modules, and says of it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{note, said, status, verdict};
use super::{Asked, Controlled};
use crate::audit::chain;
use crate::modules::{ModuleStatus, Registry};

impl Controlled for Registry {
    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn answer(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Value, String> {
        let by = || format!("process {} of user {}", asked.peer.process, asked.peer.user);
        match (asked.command, asked.module) {
            ("modules", None) => Ok(self.status().iter().map(module).collect()),
            ("calls", None) => Ok(self
                .calls()
                .iter()
                .map(|calls| {
                    json!({
                        "caller": calls.caller,
                        "callee": calls.callee,
                        "count": calls.count,
                        "under_way": calls.under_way,
                    })
                })
                .collect()),
            ("reload", None) => {
                self.all()
                    .iter()
                    .filter_map(|member| member.core())
                    .for_each(|core| note(&core, asked));
                let verdicts = self.reload_all().into_iter();
                Ok(verdicts
                    .map(|(name, given)| match verdict(given) {
                        Ok(mut value) => {
                            value["module"] = json!(name);
                            value
                        }
                        Err(error) => json!({ "module": name, "error": error }),
                    })
                    .collect())
            }
            ("load", Some(name)) => {
                let version = self.load(name, &by).map_err(|error| chain(&error))?;
                Ok(said(format!("{name} is loaded: {version}")))
            }
            ("unload", Some(name)) if asked.version.is_none() => {
                let core = self.known(name).and_then(|member| member.core());
                core.iter().for_each(|core| note(core, asked));
                self.unload(name).map_err(|error| chain(&error))?;
                Ok(said(format!("{name} is unloaded")))
            }
            (_, Some(name)) => {
                let core = self.known(name).and_then(|member| member.core());
                let core = core.ok_or_else(|| format!("module {name} is not loaded"))?;
                core.answer(&Asked { module: None, ..*asked })
            }
            (command, None) => Err(format!(
                "there is no command {command:?} of a registry: modules, calls, reload; of a \"module\": load, unload, and what an \
                 engine is asked and told"
            )),
        }
    }
}

fn module(module: &ModuleStatus) -> Value {
    let users: Vec<_> = module.users.iter().map(ToString::to_string).collect();
    let mut value = status(&module.engine);
    value["module"] = json!(module.name);
    value["users"] = json!(users);
    value
}
