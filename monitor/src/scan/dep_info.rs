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
fn parse(text: &[u8]) -> Vec<PathBuf> {
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
            b' ' | b'\t' | b'\r' if word.is_empty() => {}
            b' ' | b'\t' | b'\r' => words.push(std::mem::take(&mut word)),
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
    use super::*;

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
}
