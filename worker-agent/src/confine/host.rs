//! What the agent itself has, and could pass on.

use std::ffi::OsString;
use std::fs;

/// What the agent has from whoever started it.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// None where the kernel's file for it cannot be written: then nobody's can be changed.
    pub(super) oom_score_adj: Option<i32>,
    pub(super) umask: u32,
    pub(super) cores: u32,
}

impl Host {
    pub(super) fn read() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            env: std::env::vars_os().collect(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            oom_score_adj: oom_score_adj(),
            umask: umask(),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
        }
    }
}

fn oom_score_adj() -> Option<i32> {
    const FILE: &str = "/proc/self/oom_score_adj";
    // Opened for writing and not written: what a container has made read-only says so here.
    fs::OpenOptions::new().write(true).open(FILE).ok()?;
    fs::read_to_string(FILE).ok()?.trim().parse().ok()
}

/// From /proc, because umask(2) tells only by changing it, for all threads.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let text = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    text.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_umask_is_the_one_that_files_are_made_with() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o666 & !Host::read().umask);
    }
}
