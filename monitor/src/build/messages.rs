//! What cargo and rustc say in JSON, one message a line.

use std::path::PathBuf;

use hotswap_artifact::{BuildErrorKind, Diagnostics};
use serde_json::Value;

use super::output::{Bounded, LineSink};
use super::process::is_out_of_memory;
use crate::BuildSettings;

/// Gathers diagnostics and the library from the messages of a build.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    rendered: Bounded,
    error_count: usize,
    warning_count: usize,
    first_error: Option<String>,
    libraries: Vec<Library>,
    compiled: Vec<Compiled>,
}

/// Something that cargo compiled, or had compiled, of a package that has a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiled {
    pub(crate) path: PathBuf,
    /// The manifest of the package.
    pub(crate) manifest: PathBuf,
}

/// A dynamic library that cargo says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) path: PathBuf,
    /// The manifest of the package that it belongs to.
    pub(crate) manifest: PathBuf,
    /// Whether nothing was compiled for it.
    pub(crate) fresh: bool,
}

impl LineSink for Messages {
    /// Lines that are no JSON are what a procedural macro printed; they are kept
    /// as they are.
    fn line(&mut self, line: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(line) else {
            self.rendered.push(line);
            self.rendered.push(b"\n");
            return;
        };
        match message["reason"].as_str() {
            Some("compiler-message") => self.diagnostic(&message["message"]),
            Some("compiler-artifact") => self.artifact(&message),
            Some(_) => {}
            // rustc alone: the diagnostic is the line; `artifact` notices have
            // no level.
            None if message["level"].is_string() => self.diagnostic(&message),
            None => {}
        }
    }
}

/// What it means that the compiler failed: the source's fault, or want of memory
/// where that is limited and the compiler does not blame a place in the source.
pub(super) fn failure(
    diagnostics: Diagnostics,
    stderr: &str,
    settings: &BuildSettings,
) -> BuildErrorKind {
    match settings.memory_bytes_max {
        Some(memory_bytes_max)
            if !diagnostics.names_a_place()
                && (is_out_of_memory(&diagnostics.rendered) || is_out_of_memory(stderr)) =>
        {
            BuildErrorKind::OutOfMemory { memory_bytes_max, diagnostics }
        }
        _ => BuildErrorKind::Failed { diagnostics },
    }
}

impl Messages {
    /// The libraries that were named, dependencies first.
    pub(crate) fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// What was compiled of packages that have a path.
    pub(crate) fn take_compiled(&mut self) -> Vec<Compiled> {
        std::mem::take(&mut self.compiled)
    }

    /// What the compiler said. When it named no error, though there was one, what
    /// went to standard error is the answer.
    pub(crate) fn into_diagnostics(self, failed: bool, stderr: &str) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        diagnostics.rendered = self.rendered.into_text();
        diagnostics.error_count = self.error_count;
        diagnostics.warning_count = self.warning_count;
        diagnostics.first_error = self.first_error;
        if failed && diagnostics.error_count == 0 {
            diagnostics.rendered.push_str(stderr);
            diagnostics.error_count = 1;
            diagnostics.first_error = stderr
                .lines()
                .find_map(|line| line.strip_prefix("error: "))
                .or_else(|| stderr.lines().find(|line| !line.trim().is_empty()))
                .map(str::to_owned);
        }
        diagnostics
    }

    fn diagnostic(&mut self, message: &Value) {
        let text = message["message"].as_str().unwrap_or_default();
        let is_summary = message["spans"].as_array().is_none_or(Vec::is_empty)
            && (text.starts_with("aborting due to")
                || text.ends_with("warning emitted")
                || text.ends_with("warnings emitted"));
        if is_summary {
            // As cargo does it.
            return;
        }
        if let Some(rendered) = message["rendered"].as_str() {
            self.rendered.push(rendered.as_bytes());
        }
        match message["level"].as_str().unwrap_or_default() {
            "warning" => self.warning_count += 1,
            level if level.starts_with("error") => {
                self.error_count += 1;
                self.first_error.get_or_insert_with(|| format!("{}{text}", position(message)));
            }
            _ => {}
        }
    }

    fn artifact(&mut self, message: &Value) {
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let files = texts(&message["filenames"]);
        let manifest = PathBuf::from(message["manifest_path"].as_str().unwrap_or_default());
        if message["package_id"].as_str().is_some_and(|id| id.starts_with("path+")) {
            let compiled = files
                .first()
                .map(|path| Compiled { path: PathBuf::from(path), manifest: manifest.clone() });
            self.compiled.extend(compiled);
        }
        let is_cdylib = texts(&message["target"]["crate_types"])
            .iter()
            .any(|crate_type| crate_type == "cdylib");
        if !is_cdylib {
            return;
        }
        let library = files.into_iter().find(|name| name.ends_with(std::env::consts::DLL_SUFFIX));
        if let Some(path) = library {
            self.libraries.push(Library {
                path: PathBuf::from(path),
                manifest,
                fresh: message["fresh"].as_bool().unwrap_or_default(),
            });
        }
    }
}

/// `src/lib.rs:7:5: `, or nothing for an error without a place.
fn position(message: &Value) -> String {
    let mut spans = message["spans"].as_array().into_iter().flatten();
    spans
        .find(|span| span["is_primary"].as_bool().unwrap_or_default())
        .and_then(|span| {
            let file = span["file_name"].as_str()?;
            Some(format!("{file}:{}:{}: ", span["line_start"], span["column_start"]))
        })
        .unwrap_or_default()
}

/// The files that the compiler missed: when one of them appears, the build may
/// succeed, and nothing but these texts names them.
pub(crate) fn missing_files(diagnostics: &Diagnostics) -> Vec<PathBuf> {
    const PHRASES: [&str; 2] = ["couldn't read `", "failed to read `"];
    let plain = diagnostics.plain();
    PHRASES
        .iter()
        .flat_map(|phrase| plain.split(phrase).skip(1))
        .filter_map(|rest| rest.split_once('`'))
        .map(|(path, _)| PathBuf::from(path))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::properties::config;

    #[test]
    fn errors_and_warnings_are_counted_and_the_first_error_has_its_place() {
        let mut messages = Messages::default();
        let error = r#"{"reason":"compiler-message","message":{"level":"error","message":"no `x`",
            "rendered":"error: no `x`\n","spans":[{"is_primary":true,"file_name":"src/lib.rs",
            "line_start":7,"column_start":5}]}}"#;
        let warning = r#"{"level":"warning","message":"unused","rendered":"warning: unused\n"}"#;
        let summary =
            r#"{"level":"error","message":"aborting due to 1 previous error","rendered":"a"}"#;
        for line in [error, warning, summary, "printed by a macro"] {
            messages.line(line.replace('\n', "").as_bytes());
        }
        let diagnostics = messages.into_diagnostics(true, "error: could not compile");
        assert_eq!(diagnostics.error_count, 1);
        assert_eq!(diagnostics.warning_count, 1);
        assert_eq!(diagnostics.first_error.unwrap(), "src/lib.rs:7:5: no `x`");
        let rendered = "error: no `x`\nwarning: unused\nprinted by a macro\n";
        assert_eq!(diagnostics.rendered, rendered);
    }

    #[test]
    fn without_a_message_standard_error_is_the_answer() {
        let stderr = "    Updating index\nerror: no matching package named `nope` found\n";
        let diagnostics = Messages::default().into_diagnostics(true, stderr);
        assert_eq!(diagnostics.rendered, stderr);
        assert_eq!(diagnostics.first_error.unwrap(), "no matching package named `nope` found");
    }

    #[test]
    fn missing_files_are_found_in_the_text() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.rendered = "error: couldn't read `src/../../a b.txt`: No such file".to_owned();
        assert_eq!(missing_files(&diagnostics), [PathBuf::from("src/../../a b.txt")]);
    }

    #[test]
    fn only_an_error_with_a_place_lies_in_the_source_beyond_doubt() {
        let names = |first: Option<&str>| {
            let mut diagnostics = Diagnostics::default();
            diagnostics.first_error = first.map(str::to_owned);
            diagnostics.names_a_place()
        };
        assert!(names(Some("src/lib.rs:7:5: cannot find value `x`")));
        assert!(!names(Some("linking with `cc` failed: exit status: 1")));
        assert!(!names(Some("failed to download `x v1.0.0`")));
        assert!(!names(Some("12:30: late")));
        assert!(!names(None));
    }

    #[test]
    fn want_of_memory_is_told_only_where_memory_is_limited() {
        let mut settings = BuildSettings::default();
        let kind = |text: &str, first: Option<&str>, settings: &BuildSettings| {
            let mut diagnostics = Diagnostics::default();
            diagnostics.first_error = first.map(str::to_owned);
            failure(diagnostics, text, settings)
        };
        let text = "memory allocation of 4294967296 bytes failed";
        assert!(matches!(kind(text, None, &settings), BuildErrorKind::Failed { .. }));
        settings.memory_bytes_max = Some(1 << 30);
        let error = kind(text, Some("could not compile `x`"), &settings);
        assert!(matches!(error, BuildErrorKind::OutOfMemory { .. }));
        assert!(matches!(kind("", None, &settings), BuildErrorKind::Failed { .. }));
        let place = Some("a.rs:1:1: out of memory");
        assert!(matches!(kind(text, place, &settings), BuildErrorKind::Failed { .. }));
    }

    /// Any JSON of the keys and values that decide something.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            prop::sample::select(vec![
                "compiler-message",
                "compiler-artifact",
                "error",
                "error: internal",
                "warning",
                "note",
                "cdylib",
                "/t/libx.so",
                "aborting due to 1 previous error",
                "",
            ])
            .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::Null),
        ];
        let keys = vec![
            "reason",
            "message",
            "level",
            "spans",
            "is_primary",
            "file_name",
            "line_start",
            "column_start",
            "rendered",
            "target",
            "crate_types",
            "filenames",
            "manifest_path",
            "fresh",
        ];
        leaf.prop_recursive(5, 60, 8, move |inner| {
            let object = vec((prop::sample::select(keys.clone()), inner.clone()), 0..8).prop_map(
                |pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            );
            prop_oneof![3 => object.prop_map(Value::Object), 1 => vec(inner, 0..4).prop_map(Value::Array)]
        })
    }

    proptest! {
        #![proptest_config(config(500))]

        /// Whatever is printed, each line counts once at most, and a failure has an error.
        #[test]
        fn any_lines_are_taken(
            lines in vec(prop_oneof![json().prop_map(|json| json.to_string()), any::<String>()], 0..6),
            stderr in any::<String>(),
            failed in any::<bool>(),
        ) {
            let mut messages = Messages::default();
            lines.iter().for_each(|line| messages.line(line.as_bytes()));
            let named = messages.libraries().len();
            let mut is_told = messages.libraries().iter();
            prop_assert!(is_told.all(|library| library.path.to_string_lossy().ends_with(".so")));
            let diagnostics = messages.into_diagnostics(failed, &stderr);
            let counted = diagnostics.error_count + diagnostics.warning_count + named;
            prop_assert!(counted <= lines.len() + usize::from(failed));
            prop_assert!(!failed || diagnostics.error_count > 0);
            prop_assert!(diagnostics.first_error.is_none() || diagnostics.error_count > 0);
            // What is asked of it later.
            let _may_be_empty = (missing_files(&diagnostics), diagnostics.names_a_place());
            let has_colours = diagnostics.to_string().contains('\u{1b}');
            prop_assert!(!has_colours);
        }

        /// What is no JSON is kept as it is.
        #[test]
        fn what_a_macro_prints_is_kept(lines in vec("[^{\\[0-9\"tfn \\-\\s][^\n]{0,30}", 0..6)) {
            let mut messages = Messages::default();
            lines.iter().for_each(|line| messages.line(line.as_bytes()));
            let kept = messages.into_diagnostics(false, "").rendered;
            prop_assert_eq!(kept, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        }
    }
}
