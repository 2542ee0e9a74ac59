//! Log lines: one event with fields each, on standard error.

use tracing_subscriber::EnvFilter;

/// Starts logging for this process. `WINDLASS_LOG` sets what is logged, such as `debug` or `windlass_core=trace`; absent, it
/// is `default`.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_env("WINDLASS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).try_init();
}
