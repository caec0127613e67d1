//! The modules of a running program.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use serde_json::{Value, json};

use crate::arguments::{Format, ModulesArguments, ModulesCommand};
use crate::control::answer;
use crate::failure::Failure;
use crate::paint::Paint;
use crate::table::table;

/// Asks the program, and gives what is printed.
pub(super) fn modules(arguments: &ModulesArguments, paint: Paint) -> Result<String, Failure> {
    let ask = |command: &str, module: Option<&str>| {
        answer(&arguments.socket, &json!({ "command": command, "module": module }))
    };
    let said = |answer: Value| format!("{}\n", answer["message"].as_str().unwrap_or_default());
    match &arguments.command {
        Some(ModulesCommand::Load { name }) => Ok(said(ask("load", Some(name))?)),
        Some(ModulesCommand::Unload { name }) => Ok(said(ask("unload", Some(name))?)),
        Some(
            ModulesCommand::Show { .. }
            | ModulesCommand::Diff { .. }
            | ModulesCommand::Restore { .. },
        ) => Err(anyhow!("which database? `hotswap modules modules.db show game`").into()),
        None => {
            let wanted = if arguments.tree { "calls" } else { "modules" };
            let answer = ask(wanted, None)?;
            Ok(match (arguments.format, arguments.tree) {
                (Format::Json, _) => list(&answer).map(|line| format!("{line}\n")).collect(),
                (Format::Table, false) => loaded(&answer, paint),
                (Format::Table, true) => tree(&ask("modules", None)?, &answer),
            })
        }
    }
}

fn list(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.as_array().into_iter().flatten()
}

fn loaded(modules: &Value, paint: Paint) -> String {
    let row = |module: &Value| {
        let users = list(&module["users"]).filter_map(Value::as_str).collect::<Vec<_>>();
        let text = |key: &str| module[key].as_str().unwrap_or_default().to_owned();
        [
            text("module"),
            format!("v{}", module["current"]),
            module["swaps"].to_string(),
            text("source"),
            if users.is_empty() { "-".to_owned() } else { users.join("; ") },
        ]
    };
    let rows: Vec<_> = list(modules).map(row).collect();
    if rows.is_empty() {
        return "the program has loaded no modules\n".to_owned();
    }
    table(["MODULE", "VERSION", "SWAPS", "SOURCE", "USED BY"], &rows, paint)
}

/// Who calls whom: each module below those that call it.
struct Tree<'a> {
    /// By caller: whom, and how often.
    calls: BTreeMap<&'a str, Vec<(&'a str, u64)>>,
    /// Those that are loaded, with their versions.
    loaded: BTreeMap<&'a str, u64>,
    /// Those that stand somewhere above, with all that they call.
    shown: BTreeSet<&'a str>,
    text: String,
}

fn tree(modules: &Value, calls: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let name = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let loaded: Vec<(String, u64)> = list(modules)
        .filter_map(|module| Some((name(module, "module")?, number(&module["current"]))))
        .collect();
    let calls: Vec<(String, String, u64)> = list(calls)
        .filter_map(|calls| {
            Some((name(calls, "caller")?, name(calls, "callee")?, number(&calls["count"])))
        })
        .collect();
    let mut tree = Tree {
        calls: BTreeMap::new(),
        loaded: loaded.iter().map(|(name, version)| (name.as_str(), *version)).collect(),
        shown: BTreeSet::new(),
        text: String::new(),
    };
    for (caller, callee, count) in &calls {
        tree.calls.entry(caller).or_default().push((callee, *count));
    }
    // First those that nobody calls; then what is left is called in circles, which begin anywhere.
    let is_called =
        |name: &str| calls.iter().any(|(caller, callee, _)| callee == name && caller != name);
    let callers = calls.iter().map(|(caller, ..)| caller);
    let all: BTreeSet<&str> =
        loaded.iter().map(|(name, _)| name).chain(callers).map(String::as_str).collect();
    let (below, roots): (Vec<&str>, Vec<&str>) = all.into_iter().partition(|name| is_called(name));
    for root in roots.into_iter().chain(below) {
        if !tree.shown.contains(root) {
            tree.show(root, "", "", "");
        }
    }
    if tree.text.is_empty() {
        return "the program has loaded no modules\n".to_owned();
    }
    tree.text
}

impl<'a> Tree<'a> {
    /// One module and, below it, those that it calls.
    fn show(&mut self, name: &'a str, calls: &str, branch: &str, indent: &str) {
        let state = match self.loaded.get(name) {
            Some(version) => format!("v{version}"),
            None => "not loaded".to_owned(),
        };
        let is_known = !self.shown.insert(name);
        let below = self.calls.get(name).cloned().unwrap_or_default();
        let above = if is_known && !below.is_empty() { ", as above" } else { "" };
        self.text += &format!("{branch}{name}  {state}{calls}{above}\n");
        if is_known {
            return;
        }
        let last = below.len().saturating_sub(1);
        for (index, (callee, count)) in below.into_iter().enumerate() {
            let calls = match count {
                1 => ", 1 call".to_owned(),
                count => format!(", {count} calls"),
            };
            let (branch, deeper) =
                if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let branch = format!("{indent}{branch}");
            self.show(callee, &calls, &branch, &format!("{indent}{deeper}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(loaded: &[&str], calls: &[(&str, &str, u64)]) -> String {
        let modules = loaded.iter().map(|name| json!({ "module": name, "current": 2 }));
        let calls = calls.iter().map(
            |(caller, callee, count)| json!({ "caller": caller, "callee": callee, "count": count }),
        );
        tree(&modules.collect(), &calls.collect())
    }

    #[test]
    fn sw_6_who_calls_whom_is_a_tree() {
        let calls = [
            ("game", "world", 12),
            ("game", "sound", 1),
            ("world", "rules", 7),
            ("menu", "world", 3),
            ("rules", "world", 4),
        ];
        let expected = "\
game  v2
├─ world  v2, 12 calls
│  └─ rules  v2, 7 calls
│     └─ world  v2, 4 calls, as above
└─ sound  not loaded, 1 call
menu  v2
└─ world  v2, 3 calls, as above
";
        assert_eq!(shown(&["game", "menu", "rules", "world"], &calls), expected);
    }

    #[test]
    fn circles_begin_somewhere_and_end() {
        let calls = [("a", "b", 2), ("b", "a", 1), ("c", "c", 5)];
        let expected = "\
c  v2
└─ c  v2, 5 calls, as above
a  v2
└─ b  v2, 2 calls
   └─ a  v2, 1 call, as above
";
        assert_eq!(shown(&["a", "b", "c"], &calls), expected);
        assert_eq!(shown(&[], &[]), "the program has loaded no modules\n");
    }

    #[test]
    fn what_is_loaded_is_listed_with_who_uses_it() {
        let modules = json!([
            { "module": "greet", "current": 3, "swaps": 2, "source": "plugins/greet", "users": [] },
            { "module": "a/words", "current": 1, "swaps": 0, "source": "plugins/a/words.rs",
              "users": ["a call of greet"] },
        ]);
        let expected = "\
MODULE   VERSION  SWAPS  SOURCE              USED BY
greet    v3       2      plugins/greet       -
a/words  v1       0      plugins/a/words.rs  a call of greet
";
        assert_eq!(loaded(&modules, Paint::Plain), expected);
    }
}
