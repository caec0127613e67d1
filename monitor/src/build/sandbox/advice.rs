//! What a failure in a sandbox means, and what to do.

/// Words of cargo, compilers and build scripts, and what to say to them; the first that fits.
const ADVICE: [(&[&str], &str); 5] = [
    (
        &["because --locked was passed", "lock file version"],
        "it is built with exactly its Cargo.lock: run `cargo generate-lockfile`, and publish the file with the crate",
    ),
    (
        &["--offline", "offline mode", "failed to download", "failed to unpack"],
        "it is built without network: run `cargo vendor`, and publish `vendor/` and the `.cargo/config.toml` that it prints with \
         the crate; or run `cargo fetch` with its Cargo.lock on this machine",
    ),
    // SIGXFSZ, SIGXCPU. *Source*: signal(7).
    (&["(signal: 25", "File too large"], "a file grew larger than `SandboxLimits::file_bytes_max`"),
    (&["(signal: 24"], "a process took more time than `SandboxLimits::cpu`"),
    (
        &["Permission denied", "Operation not permitted", "os error 13", "os error 1)"],
        "it is built in a sandbox, without network, which reads the toolchain and its own code, and writes to its target \
         directory; the program that runs it can let it read more (`EngineBuilder::sandbox_reads`), `hotswap` cannot",
    ),
];

/// What to tell of what a confined build said.
pub(crate) fn advice(said: &str) -> Option<&'static str> {
    let fits = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
    ADVICE.iter().find(|(signs, _)| fits(signs)).map(|(_, advice)| *advice)
}
