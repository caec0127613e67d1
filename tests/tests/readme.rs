//! What the README shows is what runs.

use std::fs;

use hotswap_tests::workspace_root;

/// Every line of the program in the README, and in its order, is one of the example.
#[test]
fn the_program_of_the_readme_is_the_example() {
    let read = |path| fs::read_to_string(workspace_root().join(path)).expect("it is there");
    let (readme, example) = (read("README.md"), read("engine/examples/republished.rs"));
    let (_, shown) = readme.split_once("**Where code comes from**").expect("it is shown");
    let (shown, _) = shown.split_once("All of it runs").expect("and ends");
    let mut blocks = shown.split("```").skip(1).step_by(2);
    for block in blocks.by_ref().take(2) {
        let mut run = example.lines().map(str::trim);
        let code = block.strip_prefix("rust\n").expect("it is Rust").lines().map(str::trim);
        for line in code.filter(|line| !line.is_empty() && !line.starts_with("// \"")) {
            assert!(run.any(|run| run == line), "the example has not, or not there: {line}");
        }
    }
    assert_eq!(blocks.next(), None);
}

/// The three lines of a host that runs what lies on a web server stand in the example one after the other.
#[test]
fn the_host_of_the_readme_is_in_the_example() {
    let read = |path| fs::read_to_string(workspace_root().join(path)).expect("it is there");
    let (readme, example) = (read("README.md"), read("engine/examples/from_a_server.rs"));
    let (_, shown) = readme.split_once("**From a web server**").expect("it is shown");
    let block = shown.split("```").nth(1).and_then(|block| block.strip_prefix("rust\n"));
    let lines = block.expect("it is Rust").lines();
    let code: Vec<&str> = lines.map(|line| line.split(" // ").next().unwrap_or(line)).collect();
    let run: Vec<&str> = example.lines().map(str::trim).collect();
    assert_eq!(code.len(), 3);
    assert!(run.windows(code.len()).any(|lines| lines == code), "the example has not {code:?}");
}
