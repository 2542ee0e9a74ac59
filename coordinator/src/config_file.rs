//! `--config FILE`: the flags of a coordinator as keys of a TOML file, for hosts where a unit file is not the place to keep them.
//! What is not known is refused: a key that is spelt wrong must not be a setting that is missing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::ConfigError;

/// What a file may hold. Absent: the flag, or its default.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) ephemeral: Option<bool>,
    pub(crate) lease_ttl_ms: Option<u64>,
    pub(crate) jobs_live_max: Option<usize>,
    pub(crate) quarantine_after_s: Option<u64>,
}

impl ConfigFile {
    /// Reads the file, or nothing where none is named.
    ///
    /// # Errors
    /// Where it cannot be read, is no TOML, or has a key or a value that is not known.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|err| ConfigError::FileUnreadable(path.to_owned(), err))?;
        let bad = |problem: String| ConfigError::BadFile(path.to_owned(), problem);
        let file: Self = toml::from_str(&text).map_err(|err| bad(err.to_string().trim_end().to_owned()))?;
        if file.data.is_some() && file.ephemeral == Some(true) {
            return Err(bad("data and ephemeral: one keeps the record and the other keeps none".into()));
        }
        Ok(file)
    }
}
