//! Where something was measured.

use std::fs;
use std::thread;
use std::time::SystemTime;

/// What stands beside every figure.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub processor: String,
    /// How many threads run at once.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The compiler.
    pub toolchain: String,
    /// How this program was built.
    pub build: &'static str,
    /// When.
    pub at: String,
    /// How busy the machine was at the beginning, averaged over a minute: what else runs shows in every figure.
    pub load_average: String,
}

impl Machine {
    /// This one, now. What the system does not tell is `unknown`.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let known = |text: Option<&str>| text.map_or("unknown", str::trim).to_owned();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find(|line| line.starts_with("model name"));
        let load = read("/proc/loadavg");
        Self {
            processor: known(model.and_then(|line| line.split(':').nth(1))),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: known(read("/proc/sys/kernel/osrelease").lines().next()),
            toolchain: hotswap_engine::RUSTC.to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release, without LTO" },
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            load_average: known(load.split(' ').next()),
        }
    }
}
