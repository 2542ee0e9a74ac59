//! Who this agent is: an id that outlives it in a data directory that is its alone, and what tells this process from the
//! one before.

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
use windlass_shared::limits::is_name;

use crate::clear::remove_tree;
use crate::outbox::Outbox;

const LOCK: &str = "lock";
const AGENT_ID: &str = "agent-id";
const SCRATCH: &str = "scratch";
const POOLS: &str = "pools";
const OUTBOX: &str = "outbox";
const SEEN: &str = "seen";

/// Time between two tries of what another process holds.
const LOCK_AGAIN: Duration = Duration::from_millis(50);
/// Time that a process which has let go of its lock may take to let go of the rest.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(1);

/// Who this agent is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Kept in the data directory.
    pub(crate) agent: AgentId,
    /// Label for people.
    pub(crate) name: Arc<str>,
    /// Random number of this process.
    pub(crate) instance: u64,
    /// The host's, new with every boot, and which file the lock is: a successor has both, a copy of the directory does not.
    pub(crate) boot_id: Arc<str>,
    /// The host's name.
    pub(crate) host: Arc<str>,
}

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
    fn lock_file(&self) -> Result<String, DataError> {
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
    fn agent_id(&self) -> Result<AgentId, DataError> {
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

impl Identity {
    /// Reads who we are, or decides it.
    pub(crate) fn of(data: &DataDir, name: Option<&str>) -> Result<Self, DataError> {
        let host = kernel_word("hostname")?;
        let name = name.map_or_else(|| name_of(&host), Into::into);
        let instance = random().map(u64::from_ne_bytes).map_err(at(Path::new("/dev/urandom")))?;
        let boot_id = format!("{}:{}", kernel_word("random/boot_id")?, data.lock_file()?).into();
        Ok(Self { agent: data.agent_id()?, name, instance, boot_id, host })
    }
}

fn kernel_word(name: &str) -> Result<Arc<str>, DataError> {
    let path = Path::new("/proc/sys/kernel").join(name);
    Ok(fs::read_to_string(&path).map_err(at(&path))?.trim().into())
}

/// A host's name as an agent's.
fn name_of(host: &str) -> Arc<str> {
    if is_name(host) { host.into() } else { "agent".into() }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|err| io::Error::other(err.to_string()))?;
    Ok(bytes)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError + use<'_> {
    move |source| DataError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(data: &DataDir) -> Identity {
        Identity::of(data, Some("a1")).unwrap()
    }

    #[test]
    fn the_id_outlives_the_process_and_the_instance_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/data");
        let first = identity(&DataDir::open(&path).unwrap());
        let second = identity(&DataDir::open(&path).unwrap());
        assert_eq!(first.agent, second.agent);
        assert_ne!(first.instance, second.instance);
        assert_eq!(first.boot_id, second.boot_id, "the same lock on the same boot");
        assert!(first.boot_id.len() <= windlass_shared::limits::NAME_BYTES_MAX);
    }

    #[test]
    fn a_copy_of_a_directory_does_not_pass_for_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let (original, copy) = (dir.path().join("original"), dir.path().join("copy"));
        let first = identity(&DataDir::open(&original).unwrap());
        fs::create_dir(&copy).unwrap();
        for file in [AGENT_ID, LOCK] {
            fs::copy(original.join(file), copy.join(file)).unwrap();
        }
        let second = identity(&DataDir::open(&copy).unwrap());
        assert_eq!(first.agent, second.agent);
        assert_ne!(first.boot_id, second.boot_id);
    }

    #[test]
    fn a_second_agent_on_the_same_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataError::InUse(_))));
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_of_a_directory_is_no_second_agent_on_the_same_host() {
        let (first, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = DataDir::open(first.path()).unwrap();
        let agent = identity(&first).agent;
        let copy = DataDir::open(copy.path()).unwrap();
        let claim = first.claim(agent).await.unwrap();
        assert!(matches!(copy.claim(agent).await, Err(DataError::IdInUse(_))));
        drop(claim);
        copy.claim(agent).await.unwrap();
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
    fn a_damaged_id_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(dir.path().join(AGENT_ID), "0193a5b0-7c3e").unwrap();
        assert!(matches!(Identity::of(&data, None), Err(DataError::BadId(_))));
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
