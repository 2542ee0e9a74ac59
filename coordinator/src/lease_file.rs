//! The lease that agents were last told of, kept beside the record: a coordinator that comes back with a shorter one must not
//! give work away while agents still count on the longer.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

const FILE: &str = "lease-ttl-ms";

/// The lease before this start, zero where there is none on record; from here on it is `ttl`.
///
/// # Errors
/// Where the directory cannot be written.
pub(crate) fn exchange(dir: &Path, ttl: Duration) -> io::Result<Duration> {
    let path = dir.join(FILE);
    let before = match fs::read_to_string(&path) {
        // What cannot be read is taken for the longest that may be set: waiting is the safe side.
        Ok(text) => text.trim().parse().map_or(crate::config::LEASE_TTL_MAX, Duration::from_millis),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Duration::ZERO,
        Err(error) => return Err(error),
    };
    // A longer one may still be counted on from the start before: it is forgotten only when this start has outlived it, and
    // until then a restart waits for it again.
    let keep = before.max(ttl);
    let unfinished = dir.join("lease-ttl-ms.new");
    fs::write(&unfinished, keep.as_millis().to_string())?;
    fs::rename(&unfinished, &path)?;
    Ok(before)
}

/// This start has outlived every longer lease.
pub(crate) fn settle(dir: &Path, ttl: Duration) -> io::Result<()> {
    fs::write(dir.join(FILE), ttl.as_millis().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_longer_lease_is_remembered_over_starts_until_it_is_outlived() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(exchange(dir.path(), 60 * SECOND).expect("written"), Duration::ZERO);
        assert_eq!(exchange(dir.path(), SECOND).expect("written"), 60 * SECOND);
        assert_eq!(exchange(dir.path(), SECOND).expect("written"), 60 * SECOND, "a second start too soon after");
        settle(dir.path(), SECOND).expect("written");
        assert_eq!(exchange(dir.path(), SECOND).expect("written"), SECOND);
    }
}
