//! The data directory, which is one agent's alone: its lock, the id that is kept in it, and where everything else is.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::ids::AgentId;

use crate::clear::remove_tree;
use crate::outbox::Outbox;

pub(crate) const LOCK: &str = "lock";
pub(crate) const AGENT_ID: &str = "agent-id";
const SCRATCH: &str = "scratch";
const POOLS: &str = "pools";
const OUTBOX: &str = "outbox";
const SEEN: &str = "seen";

/// Time between two tries of what another process holds.
const LOCK_AGAIN: Duration = Duration::from_millis(50);
/// Time that a process which has let go of its lock may take to let go of the rest.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(1);

/// Why an agent cannot have its data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another agent, or what it left running, has it.
    #[error("--data {} is in use by another agent, or by the processes of a former one that are still ending", .0.display())]
    InUse(PathBuf),
    /// An agent with the same id runs on this host, so this directory is a copy of its.
    #[error("another agent with the id of --data {} runs on this host; if one was copied from the other, remove agent-id from the copy", .0.display())]
    IdInUse(PathBuf),
    /// The file that keeps the id holds something else.
    #[error("{} holds no agent id; restore it, or remove it to become a new agent", .0.display())]
    BadId(PathBuf),
    /// The system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// An agent's id, taken for as long as this lives: an abstract socket's name goes with its process.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "held, not used")] UnixDatagram);

/// A data directory, locked for as long as this, the warden or a keeper lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    lock: Arc<OwnedFd>,
}

impl DataDir {
    /// As [`Self::open`], for as long as `patience` lets it: what a former agent ran may still be ending.
    pub(crate) async fn wait_for(path: &Path, patience: Duration) -> Result<Self, DataError> {
        let until = Instant::now() + patience;
        let mut told = false;
        loop {
            match Self::open(path) {
                Err(DataError::InUse(root)) if Instant::now() < until => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(data = %root.display(), "waiting for a former agent's processes to end");
                    }
                    tokio::time::sleep(LOCK_AGAIN).await;
                }
                opened => return opened,
            }
        }
    }

    /// Makes the directory where it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        // What is above it is nobody's secret, and a job that is another user must get through.
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(at(parent))?;
        }
        // Readable by nobody else: what jobs put into scratch directories is theirs.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))?;
        // Scratch directories become working directories, so this must not hang on ours.
        let root = path.canonicalize().map_err(at(path))?;
        let lock_path = root.join(LOCK);
        let mut options = OpenOptions::new();
        let lock =
            options.write(true).create(true).truncate(false).mode(0o600).open(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataError::InUse(root)),
            Err(TryLockError::Error(source)) => return Err(DataError::Io { path: lock_path, source }),
        }
        Ok(Self { root, lock: Arc::new(lock.into()) })
    }

    /// The lock, for the warden to hold as well: a successor must not speak for this agent before its trees are gone.
    pub(crate) fn lock(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.lock)
    }

    /// Which file the lock is, as DEVICE:INODE, unlike that of any other on this boot. Only the holder of *this* lock proves that a
    /// former one is gone. A filesystem that is mounted anew may get another number; its agent then waits out the lease.
    pub(crate) fn lock_file(&self) -> Result<String, DataError> {
        let stat = rustix::fs::fstat(&self.lock).map_err(|err| at(&self.root.join(LOCK))(err.into()))?;
        Ok(format!("{}:{}", stat.st_dev, stat.st_ino))
    }

    /// Where attempts get directories of their own.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join(SCRATCH)
    }

    /// Where workers of pools have directories of their own.
    pub(crate) fn pools(&self) -> PathBuf {
        self.root.join(POOLS)
    }

    /// What the coordinator has not acknowledged, from this life and those before.
    pub(crate) fn outbox(&self) -> Result<Outbox, DataError> {
        let path = self.root.join(OUTBOX);
        Outbox::open(&path).map_err(at(&path))
    }

    /// Where to keep how far the coordinator was seen.
    pub(crate) fn seen(&self) -> PathBuf {
        self.root.join(SEEN)
    }

    /// Clears what a former agent left of its jobs' and workers' files, once nothing of them runs. What cannot be removed costs its
    /// room on the disk; an agent that would not start for it would cost the host.
    pub(crate) fn clear_scratch(&self) -> Result<(), DataError> {
        for path in [self.scratch(), self.pools()] {
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(%error, path = %path.display(), "files of a former agent cannot be removed");
            }
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(DataError::Io { path, source });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Lets other users through to what is made for them, or keeps them out: they can pass, and see nothing. What is in here is
    /// for this agent alone either way.
    pub(crate) fn admit_others(&self, admit: bool) -> Result<(), DataError> {
        let mode = if admit { 0o711 } else { 0o700 };
        for path in [self.root.clone(), self.scratch(), self.pools()] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Takes the id for this process, on this host: a copy of a data directory has a lock of its own, and its agent would
    /// take the original's jobs for leftovers.
    pub(crate) async fn claim(&self, agent: AgentId) -> Result<Claim, DataError> {
        let name = SocketAddr::from_abstract_name(format!("windlass-agent-{agent}")).map_err(at(&self.root))?;
        let until = Instant::now() + CLAIM_TIMEOUT;
        loop {
            match UnixDatagram::bind_addr(&name) {
                Ok(socket) => return Ok(Claim(socket)),
                // The former agent has let go of the lock, and not of everything yet.
                Err(err) if err.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                    tokio::time::sleep(LOCK_AGAIN).await;
                }
                Err(err) if err.kind() == io::ErrorKind::AddrInUse => {
                    return Err(DataError::IdInUse(self.root.clone()));
                }
                Err(source) => return Err(DataError::Io { path: self.root.clone(), source }),
            }
        }
    }

    /// The id kept here; a new one, kept from now on, where there is none.
    pub(crate) fn agent_id(&self) -> Result<AgentId, DataError> {
        let path = self.root.join(AGENT_ID);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| DataError::BadId(path)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let id = AgentId::new(random().map_err(at(&path))?);
                self.keep(&path, &format!("{id}\n")).map_err(at(&path))?;
                Ok(id)
            }
            Err(source) => Err(DataError::Io { path, source }),
        }
    }

    /// All of it or nothing, whatever the power does: half an id would keep the agent from starting.
    fn keep(&self, path: &Path, text: &str) -> io::Result<()> {
        let draft = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(&self.root)?.sync_all()
    }

    /// Removes everything, and the parent directory where that is empty then.
    pub(crate) fn remove(&self) {
        if let Err(error) = remove_tree(&self.root) {
            tracing::warn!(%error, path = %self.root.display(), "the data directory stays");
        }
        if let Some(parent) = self.root.parent() {
            // Others may use it still: then it is theirs to remove.
            let _ = fs::remove_dir(parent);
        }
    }
}

pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|err| io::Error::other(err.to_string()))?;
    Ok(bytes)
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError + use<'_> {
    move |source| DataError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_on_the_same_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataError::InUse(_))));
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_lock_is_waited_for_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let patience = Duration::from_secs(15);
        assert!(matches!(DataDir::wait_for(dir.path(), patience).await, Err(DataError::InUse(_))));
        let freed = async {
            tokio::time::sleep(patience / 2).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(DataDir::wait_for(dir.path(), patience), freed);
        assert!(second.is_ok());
    }

    #[test]
    fn what_a_former_agent_left_in_scratch_is_removed_and_removal_takes_the_empty_parent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("parent/data");
        let left = DataDir::open(&path).unwrap().scratch().join("job/file");
        fs::create_dir_all(&left).unwrap();
        let data = DataDir::open(&path).unwrap();
        data.clear_scratch().unwrap();
        assert!(!left.exists() && data.scratch().exists());
        data.remove();
        assert!(!dir.path().join("parent").exists());
    }
}
