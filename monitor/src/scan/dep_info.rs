//! The `.d` file beside a library: what the compiler really read.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use hotswap_system::fs;

/// Reads the prerequisites of every rule of a `.d` file; relative ones are taken
/// from `base`.
pub(crate) fn read(path: &Path, base: &Path) -> io::Result<Vec<PathBuf>> {
    let mut inputs: Vec<PathBuf> =
        parse(&fs::read(path)?).into_iter().map(|input| base.join(input)).collect();
    inputs.sort();
    inputs.dedup();
    Ok(inputs)
}

/// The prerequisites of every rule, in order.
///
/// Both rustc and cargo escape a space as `\ ` and nothing else, not even the
/// backslash. *Source*: `escape_dep_filename` in rustc_interface,
/// `render_filename` in cargo.
pub(crate) fn parse(text: &[u8]) -> Vec<PathBuf> {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.starts_with(b"#"))
        .flat_map(|line| {
            let mut words = words(line).into_iter();
            // Up to the word that ends in a colon: the targets.
            words.by_ref().find(|word| word.ends_with(b":"));
            words
        })
        .map(|word| PathBuf::from(OsString::from_vec(word)))
        .collect()
}

fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next_if_eq(&b' ').is_some() => word.push(b' '),
            b' ' if word.is_empty() => {}
            b' ' => words.push(std::mem::take(&mut word)),
            byte => word.push(byte),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::properties::config;

    fn parsed(text: &str) -> Vec<String> {
        let text_of = |path: PathBuf| path.to_str().unwrap().to_owned();
        parse(text.as_bytes()).into_iter().map(text_of).collect()
    }

    #[test]
    fn spaces_comments_and_empty_rules() {
        let text = "/t/my\\ lib.so: /s/a.rs /s/with\\ space.rs /s/back\\slash\n\n\
                    /s/a.rs:\n# env-dep:OUT_DIR=/x y: z\n";
        assert_eq!(parsed(text), ["/s/a.rs", "/s/with space.rs", "/s/back\\slash"]);
    }

    #[test]
    fn an_empty_or_torn_file_names_nothing() {
        assert!(parsed("").is_empty());
        assert!(parsed("no colon here").is_empty());
        assert!(parsed("a:").is_empty());
    }

    /// Names of files as they may be: any bytes but NUL and the newline, of which the format knows nothing. A
    /// backslash at the end would escape what follows.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let special = prop::sample::select(b"  \\\\:#\t\r$.a/".to_vec());
        let byte = prop_oneof![3 => special, 1 => any::<u8>()];
        vec(byte.prop_filter("no name has it", |byte| !b"\0\n".contains(byte)), 0..8).prop_map(
            |mut name| {
                name.insert(0, b'/');
                if name.ends_with(b"\\") {
                    name.push(b'.');
                }
                name
            },
        )
    }

    /// As rustc and cargo write it.
    fn escaped(name: &[u8]) -> Vec<u8> {
        name.iter()
            .flat_map(|byte| if *byte == b' ' { &b"\\ "[..] } else { std::slice::from_ref(byte) })
            .copied()
            .collect()
    }

    proptest! {
        #![proptest_config(config(2_000))]

        #[test]
        fn what_compilers_write_reads_back(
            targets in vec(name(), 1..3),
            inputs in vec(name(), 0..5),
            has_rule_for_each in any::<bool>(),
        ) {
            let mut text = b"# a comment: /x\n".to_vec();
            for target in targets {
                text.extend_from_slice(&escaped(&target));
                text.push(b':');
                for input in &inputs {
                    text.push(b' ');
                    text.extend_from_slice(&escaped(input));
                }
                text.extend_from_slice(b"\n\n");
                if !has_rule_for_each {
                    break;
                }
            }
            let mut found = parse(&text);
            found.truncate(inputs.len());
            let expected: Vec<_> =
                inputs.into_iter().map(|input| PathBuf::from(OsString::from_vec(input))).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
