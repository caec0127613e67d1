//! What does not compile, and what the error says; for each case `ui/pass` has a twin that compiles.
//!
//! After a change of wording: `TRYBUILD=overwrite cargo test -p hotswap-tests --test ui`, and read the diff.

#[test]
fn refusals_say_what_to_write_and_their_twins_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
    cases.pass("ui/pass/*.rs");
}
