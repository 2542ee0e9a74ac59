//! The command line of a coordinator, and what a file adds to it: together they come to [`Options`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, Options};
use crate::config_file::ConfigFile;
use crate::driver::CrashAt;

/// Holds the truth about every job and schedules over gRPC streams.
#[derive(Debug, Parser)]
#[command(name = "windlass-coordinator", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// TOML file with these flags as keys: listen, data, ephemeral, lease_ttl_ms, jobs_live_max, quarantine_after_s. A flag wins over the file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address to serve at [default: 127.0.0.1:7070]. Port 0 takes any free one; the first line on standard output says which.
    #[arg(long, value_name = "ADDRESS", env = "WINDLASS_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Silence, in milliseconds, after which an agent gets nothing new; a third of it later its attempts are lost
    /// [default: 15000].
    #[arg(long, value_name = "MS")]
    pub(crate) lease_ttl_ms: Option<u64>,
    /// Jobs held that are not final [default: 2000000].
    #[arg(long, value_name = "N")]
    pub(crate) jobs_live_max: Option<usize>,
    /// Seconds that something may be stuck on an agent, killed and not gone, before the agent gets nothing new [default: 60].
    #[arg(long, value_name = "S")]
    pub(crate) quarantine_after_s: Option<u64>,
    /// Directory of the record. Made where it is missing; one coordinator at a time.
    #[arg(long, value_name = "DIR", env = "WINDLASS_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Keep nothing: jobs in memory only, and a directory given with --data is removed at the end.
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Die at a point of a tick, as POINT:PASSES.
    #[arg(long, hide = true)]
    pub(crate) crash_at: Option<CrashAt>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) lifeline: bool,
    /// Keys that the file gave and no flag.
    #[arg(skip)]
    from_file: Vec<&'static str>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks after a record on disk.
    #[command(subcommand)]
    Store(StoreCommand),
}

/// What to do with a record on disk.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Reads every row and checks it; also beside a running coordinator.
    Verify {
        /// The coordinator's data directory.
        data: PathBuf,
    },
    /// Copies the record to a new directory; also beside a running coordinator.
    Backup {
        /// The coordinator's data directory.
        data: PathBuf,
        /// Directory to make.
        to: PathBuf,
    },
    /// Writes every job as a JSON object a line; what is damaged is left out and named on standard error.
    Export {
        /// The coordinator's data directory.
        data: PathBuf,
    },
    /// Makes the record of an older copy, put in place, one that agents and clients that saw more of it take; no coordinator may run.
    ///
    /// What happened since the copy was made is forgotten: jobs submitted since are gone, jobs that ran or ended since run again, those
    /// that may begin once among them. What agents still run under the former record is killed when they say hello.
    Import {
        /// The coordinator's data directory, with the copy in it.
        data: PathBuf,
        /// That this is meant.
        #[arg(long, required = true)]
        accept_rollback: bool,
    },
}

impl Args {
    /// With what the file says where no flag does.
    ///
    /// # Errors
    /// Where the file cannot be read, or says what is not known.
    pub(crate) fn settle(mut self) -> Result<Self, ConfigError> {
        let file = ConfigFile::read(self.config.as_deref())?;
        let from_file = &mut self.from_file;
        fill(&mut self.listen, file.listen, "listen", from_file);
        fill(&mut self.lease_ttl_ms, file.lease_ttl_ms, "lease_ttl_ms", from_file);
        fill(&mut self.jobs_live_max, file.jobs_live_max, "jobs_live_max", from_file);
        fill(&mut self.quarantine_after_s, file.quarantine_after_s, "quarantine_after_s", from_file);
        // Two answers to one question, where the record is: a flag that gives one overrides both keys. An ephemeral coordinator
        // removes the directory that it was given, which must never be the one of a file.
        if self.data.is_none() && !self.ephemeral {
            self.data = file.data;
            self.ephemeral = file.ephemeral.unwrap_or(false);
        }
        Ok(self)
    }

    /// What they come to, checked.
    ///
    /// # Errors
    /// The first setting that cannot be used, by the file and the key where the file gave it.
    pub(crate) fn options(&self) -> Result<Options, ConfigError> {
        if self.data.is_none() && !self.ephemeral {
            return Err(ConfigError::NoData);
        }
        let default = Options::default();
        let options = Options {
            data: self.data.clone().filter(|_| !self.ephemeral),
            crash_at: self.crash_at.clone(),
            listen: self.listen.unwrap_or(default.listen),
            lease_ttl: self.lease_ttl_ms.map_or(default.lease_ttl, Duration::from_millis),
            quarantine_after: self.quarantine_after_s.map_or(default.quarantine_after, Duration::from_secs),
            jobs_live_max: self.jobs_live_max.unwrap_or(default.jobs_live_max),
            ..default
        };
        options.check().map_err(|err| self.blame(err))
    }

    /// Names the file where that is what said it.
    fn blame(&self, err: ConfigError) -> ConfigError {
        let key = err.key().filter(|key| self.from_file.contains(key));
        match (key, &self.config) {
            (Some(key), Some(file)) => ConfigError::InFile { file: file.clone(), key, source: Box::new(err) },
            _ => err,
        }
    }
}

/// Fills in what no flag says, and notes that the file said it.
fn fill<T>(flag: &mut Option<T>, said: Option<T>, key: &'static str, from_file: &mut Vec<&'static str>) {
    if flag.is_none() && said.is_some() {
        *flag = said;
        from_file.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn options(text: &str, flags: &[&str]) -> Result<Options, String> {
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
            ("data = \"/d\"\nquarantine_after_s = 0\n", "quarantine_after_s", "1 s to 1 day"),
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
