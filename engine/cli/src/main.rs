//! The binary `hotswap`. Everything it does is in the library beside it.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    hotswap_cli::main()
}
