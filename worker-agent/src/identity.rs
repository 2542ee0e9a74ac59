//! Who this agent is: an id that outlives it in its data directory, and what tells this process from the one before.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use windlass_shared::ids::AgentId;
use windlass_shared::limits::is_name;

use crate::data_dir::{DataDir, DataError, at, random};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::{AGENT_ID, LOCK};

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

    #[test]
    fn a_damaged_id_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(dir.path().join(AGENT_ID), "0193a5b0-7c3e").unwrap();
        assert!(matches!(Identity::of(&data, None), Err(DataError::BadId(_))));
    }
}
