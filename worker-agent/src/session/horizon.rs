//! How far this agent has seen its coordinator, over the agent's own lives: a coordinator that comes back from an older copy
//! of its record is behind that, and must not go on as if nothing were missing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use windlass_shared::domain::Seen;

/// Time between two writes. A killed agent forgets this much, and its check is weaker by it.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// The furthest point seen.
#[derive(Debug)]
pub(crate) struct Horizon(watch::Sender<Option<Seen>>);

/// Keeps it on disk.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    seen: watch::Receiver<Option<Seen>>,
}

impl Horizon {
    /// What the file at `path` holds, and the task that writes there what is seen from now on.
    pub(crate) fn open(path: PathBuf) -> (Self, Recorder) {
        let (sender, seen) = watch::channel(read(&path));
        (Self(sender), Recorder { path, seen })
    }

    pub(super) fn get(&self) -> Option<Seen> {
        *self.0.borrow()
    }

    /// Notes how far the coordinator is. It has checked our last word itself, so another record is one that it chose.
    pub(super) fn see(&self, now: Seen) {
        self.0.send_if_modified(|seen| {
            let further = match *seen {
                Some(seen) if seen.incarnation == now.incarnation => Seen {
                    incarnation: seen.incarnation,
                    epoch: seen.epoch.max(now.epoch),
                    revision: seen.revision.max(now.revision),
                },
                _ => now,
            };
            seen.replace(further) != Some(further)
        });
    }
}

impl Recorder {
    /// Writes what is new, until `stop`, and then once more.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut goes_on = true;
        while goes_on {
            goes_on = tokio::select! {
                changed = self.seen.changed() => changed.is_ok(),
                () = stop.cancelled() => false,
            };
            self.write().await;
            tokio::select! {
                () = tokio::time::sleep(WRITE_INTERVAL), if goes_on => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn write(&mut self) {
        let Some(seen) = *self.seen.borrow_and_update() else { return };
        let path = self.path.clone();
        // A disk that hangs must hold up no thread that others need.
        let written = tokio::task::spawn_blocking(move || write(&path, seen)).await;
        if let Ok(Err(error)) = written {
            tracing::debug!(%error, "what was seen of the coordinator is not written");
        }
    }
}

/// All of it or nothing, by rename. Not synced: power loss may bring back an older one, which only weakens the check.
fn write(path: &Path, Seen { incarnation, epoch, revision }: Seen) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{incarnation} {epoch} {revision}\n").as_bytes())?;
    fs::rename(draft, path)
}

fn read(path: &Path) -> Option<Seen> {
    let text = fs::read_to_string(path).ok()?;
    let seen = parse(&text);
    if seen.is_none() {
        tracing::warn!(path = %path.display(), "cannot be read: a coordinator that has lost something goes unnoticed");
    }
    seen
}

fn parse(text: &str) -> Option<Seen> {
    let mut numbers = text.strip_suffix('\n')?.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    let seen = Seen { incarnation: next()?, epoch: next()?, revision: next()? };
    numbers.next().is_none().then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(incarnation: u64, epoch: u64, revision: u64) -> Seen {
        Seen { incarnation, epoch, revision }
    }

    #[test]
    fn it_only_grows_within_a_record_and_follows_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let (horizon, _recorder) = Horizon::open(dir.path().join("seen"));
        assert_eq!(horizon.get(), None);
        for (now, then) in [((1, 2, 30), (1, 2, 30)), ((1, 3, 20), (1, 3, 30)), ((9, 1, 1), (9, 1, 1))] {
            horizon.see(seen(now.0, now.1, now.2));
            assert_eq!(horizon.get(), Some(seen(then.0, then.1, then.2)));
        }
    }

    #[tokio::test]
    async fn what_was_seen_until_the_stop_is_what_the_next_life_knows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seen");
        let (horizon, recorder) = Horizon::open(path.clone());
        horizon.see(seen(1, 2, 3));
        let stop = CancellationToken::new();
        stop.cancel();
        recorder.run(stop).await;
        assert_eq!(Horizon::open(path.clone()).0.get(), Some(seen(1, 2, 3)));
        for damaged in ["", "1 2 3", "1 2\n", "1 2 3 4\n", "1 2 x\n"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(Horizon::open(path.clone()).0.get(), None, "{damaged:?}");
        }
    }
}
