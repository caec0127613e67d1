//! A module that allocates: what it keeps, what it hands over, what it is given.

use std::collections::BTreeMap;
use std::sync::Mutex;

use hotswap_module::{Abi, CallError, engine, export, host};

hotswap_module::module!();

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

#[derive(Abi)]
pub struct Letter {
    pub to: String,
    pub pages: Vec<String>,
    pub kind: Kind,
}

#[derive(Abi)]
pub enum Kind {
    Plain,
    Sealed(Box<u64>),
    Signed { by: Option<String> },
}

#[export]
pub fn version() -> u64 {
    1
}

/// Keeps a block of so many bytes.
#[export]
pub fn keeps(bytes: u64) {
    KEPT.lock().expect("nobody panics").push(vec![1; bytes as usize]);
}

/// Frees all that was kept.
#[export]
pub fn frees() {
    *KEPT.lock().expect("nobody panics") = Vec::new();
}

/// Keeps what it is given.
#[export]
pub fn keeps_given(block: Vec<u8>) {
    KEPT.lock().expect("nobody panics").push(block);
}

/// Gives the latest that was kept.
#[export]
pub fn gives() -> Option<Vec<u8>> {
    KEPT.lock().expect("nobody panics").pop()
}

/// Frees what it is given.
#[export]
pub fn reads(letters: Vec<Letter>, count: u64) -> u64 {
    letters.len() as u64 + count
}

/// As `reads`, and panics.
#[export]
pub fn tears(letters: Vec<Letter>) -> u64 {
    panic!("{} letters", letters.len());
}

#[export]
pub fn writes(pages: u64) -> Result<Vec<Letter>, String> {
    let page = |number| format!("page {number} of a long letter");
    let letter = |kind| Letter {
        to: "somebody".to_owned(),
        pages: (0..pages).map(page).collect(),
        kind,
    };
    Ok(vec![
        letter(Kind::Plain),
        letter(Kind::Sealed(Box::new(7))),
        letter(Kind::Signed { by: Some("me".to_owned()) }),
    ])
}

/// A value of which it cannot be told what it owns.
#[export]
pub fn maps(count: u64) -> BTreeMap<u64, String> {
    (0..count).map(|number| (number, number.to_string())).collect()
}

/// Makes a value of its caller grow.
#[export]
pub fn grows(list: &mut Vec<String>) {
    list.extend((0..100).map(|number| number.to_string()));
}

/// As much text as it gives.
#[export]
pub fn echoes(text: String) -> String {
    text.clone() + &text
}

/// Hands texts to the host, and frees what it answers.
#[export]
pub fn talks(times: u64) -> u64 {
    (0..times).map(|number| talk(number).len() as u64).sum()
}

/// Is told many times that something is not there.
#[export]
pub fn is_refused(times: u64) {
    for _ in 0..times {
        let error = engine().call("no_such_function_anywhere").expect_err("it is not there");
        assert!(error.to_string().contains("not exported"));
        let error: CallError = engine().reload().expect_err("there is nothing new that is good");
        assert!(!error.to_string().is_empty());
    }
}

/// Has threads allocate; what they keep is kept.
#[export]
pub fn has_threads_keep(threads: u64, bytes: u64) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                keeps(bytes);
                drop(vec![0_u8; 100]);
            });
        }
    });
}

// Not in an export: a literal name there would be asked of every host at load.
fn talk(number: u64) -> String {
    host().call_with("answer", (number.to_string(),)).expect("the host answers")
}
