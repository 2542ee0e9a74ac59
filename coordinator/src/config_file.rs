//! `--config FILE`: the flags of a coordinator as keys of a TOML file, for hosts where a unit file is not the place to keep them.
//! A flag wins over the file. What is not known is refused: a key that is spelt wrong must not be a setting that is missing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::{Args, ConfigError};

/// What a file may hold. Absent: the flag, or its default.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) ephemeral: Option<bool>,
    pub(crate) lease_ttl_ms: Option<u64>,
    pub(crate) jobs_live_max: Option<usize>,
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

    /// Fills in what no flag says.
    pub(crate) fn fill(self, args: &mut Args) {
        args.listen = args.listen.or(self.listen);
        args.lease_ttl_ms = args.lease_ttl_ms.or(self.lease_ttl_ms);
        args.jobs_live_max = args.jobs_live_max.or(self.jobs_live_max);
        // Two answers to one question, where the record is: a flag that gives one overrides both keys. An ephemeral coordinator
        // removes the directory that it was given, which must never be the one of a file.
        if args.data.is_none() && !args.ephemeral {
            args.data = self.data;
            args.ephemeral = self.ephemeral.unwrap_or(false);
        }
    }

    /// Whether the file has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        match key {
            "listen" => self.listen.is_some(),
            "lease_ttl_ms" => self.lease_ttl_ms.is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::time::Duration;

    fn options(text: &str, flags: &[&str]) -> Result<crate::Options, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("coordinator.toml");
        std::fs::write(&path, text).expect("written");
        let config = ["windlass-coordinator", "--config", path.to_str().expect("UTF-8")];
        let args = Args::try_parse_from(config.iter().chain(flags)).map_err(|err| err.to_string())?;
        args.settle().and_then(|args| args.options()).map_err(|err| err.to_string())
    }

    #[test]
    fn a_file_says_what_flags_say_and_a_flag_wins() {
        let text = "listen = \"127.0.0.1:9000\"\ndata = \"/d\"\nlease_ttl_ms = 2000\njobs_live_max = 7\n";
        let of_file = options(text, &[]).expect("good");
        assert_eq!((of_file.listen.port(), of_file.lease_ttl), (9_000, Duration::from_secs(2)));
        assert_eq!((of_file.data, of_file.jobs_live_max), (Some("/d".into()), 7));
        let of_flags =
            options(text, &["--listen", "127.0.0.1:1", "--data", "/e", "--lease-ttl-ms", "3000"]).expect("good");
        assert_eq!((of_flags.listen.port(), of_flags.lease_ttl), (1, Duration::from_secs(3)));
        assert_eq!((of_flags.data, of_flags.jobs_live_max), (Some("/e".into()), 7));
    }

    #[test]
    fn a_flag_that_keeps_nothing_does_not_take_the_directory_of_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("coordinator.toml");
        std::fs::write(&path, "data = \"/d\"\n").expect("written");
        let config = ["windlass-coordinator", "--ephemeral", "--config", path.to_str().expect("UTF-8")];
        let args = Args::try_parse_from(config).expect("good").settle().expect("good");
        assert_eq!((args.ephemeral, args.data), (true, None));
        assert_eq!(options("ephemeral = true\n", &["--data", "/d"]).expect("good").data, Some("/d".into()));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name_the_key_and_the_remedy() {
        for (text, key, remedy) in [
            ("lease_ttl = 2000\ndata = \"/d\"\n", "lease_ttl", "expected one of `listen`"),
            ("listen = 7\n", "listen", "correct it"),
            ("data = \"/d\"\nlisten = \"0.0.0.0:7070\"\n", "listen", "loopback"),
            ("data = \"/d\"\nlease_ttl_ms = 1\n", "lease_ttl_ms", "500 ms"),
            ("data = \"/d\"\nephemeral = true\n", "ephemeral", "correct it"),
            ("listen = \n", "listen", "correct it"),
        ] {
            let said = options(text, &[]).expect_err(text);
            for part in ["coordinator.toml", key, remedy] {
                assert!(said.contains(part), "{part:?} is not in {said}");
            }
        }
        let args = Args::try_parse_from(["windlass-coordinator", "--config", "/no/such/file"]).expect("good");
        let said = args.settle().expect_err("not there").to_string();
        assert!(said.contains("/no/such/file") && said.contains("--config"), "{said}");
    }
}
