//! Which names a crate can have.

/// Names that the compiler or this project uses for something else, in the form that code has.
const TAKEN: [&str; 52] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "hotswap_module",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "unsafe",
    "use",
    "while",
];

/// Says what is wrong with a name, if something is.
pub(crate) fn objection(name: &str) -> Option<String> {
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() {
        return Some("a crate needs a name".to_owned());
    }
    let mut wrong: Vec<char> = name.chars().filter(|c| !is_allowed(c)).collect();
    wrong.sort_unstable();
    wrong.dedup();
    if !wrong.is_empty() {
        let list: Vec<_> = wrong.iter().map(|c| format!("{c:?}")).collect();
        return Some(format!(
            "{name:?} is no crate name: it may have letters, digits, - and _, but not {}",
            list.join(", ")
        ));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some(format!("{name:?} is no crate name: it must begin with a letter"));
    }
    let identifier = name.replace('-', "_");
    TAKEN
        .contains(&identifier.as_str())
        .then(|| format!("{name:?} is no crate name: the word has another meaning in Rust code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["game", "my-game", "Game_2", "g"] {
            assert_eq!(objection(name), None);
        }
    }

    #[test]
    fn an_objection_names_the_characters() {
        assert!(objection("my game!").unwrap().ends_with("but not ' ', '!'"));
        assert!(objection("../x").unwrap().ends_with("but not '.', '/'"));
        assert!(objection("spiel\u{e4}").unwrap().contains('\u{e4}'));
        assert!(objection("2d").unwrap().contains("begin with a letter"));
        assert!(objection("-x").unwrap().contains("begin with a letter"));
        assert!(objection("").is_some());
        for word in ["fn", "test", "hotswap-module", "proc-macro"] {
            assert!(objection(word).unwrap().contains("another meaning"), "{word}");
        }
    }
}
