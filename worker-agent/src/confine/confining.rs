//! What is said for commands and for each pool, made of it for an agent.

use std::path::{Path, PathBuf};

use super::confined::Confined;
use super::dirs;
use super::env::{self, Env};
use super::host::Host;
use super::options::ConfineOptions;
use crate::config::{ConfigError, Options};

/// What all processes of an agent get.
#[derive(Debug)]
pub(crate) struct Confining {
    /// For commands.
    pub(crate) commands: Confined,
    /// For the workers of each pool, in their order.
    pub(crate) workers: Vec<Confined>,
    as_root_unasked: bool,
}

impl Confining {
    /// Looks up everything now, when what is wrong is a setting to change and no failed job.
    ///
    /// # Errors
    /// What cannot be had on this host, with its table.
    pub(crate) fn new(options: &Options) -> Result<Self, ConfigError> {
        Self::on(&Host::read(), options)
    }

    fn on(host: &Host, options: &Options) -> Result<Self, ConfigError> {
        let make = |table: &str, confine: &ConfineOptions, threads: &Env| {
            let made =
                if options.unconfined { Ok(Confined::nothing(host)) } else { Confined::new(confine, host, threads) };
            made.map_err(|problem| ConfigError::in_file(format!("{table}: {problem}")))
        };
        let commands = make("[exec]", &options.exec, &Env::new())?;
        let workers = options.pools.iter().map(|pool| {
            let threads = if pool.max > 1 { env::threads(pool.max, host.cores) } else { Env::new() };
            make(&format!("[[pool]] {:?}", pool.name), &pool.confine.or(&options.exec), &threads)
        });
        let workers = workers.collect::<Result<_, _>>()?;
        let as_root_unasked = host.uid == 0 && options.exec.run_as.is_none() && !options.unconfined;
        Ok(Self { commands, workers, as_root_unasked })
    }

    /// Whether some become another user, who must get through to what is made for it in the data directory.
    pub(crate) fn admits_others(&self) -> bool {
        self.all().any(|confined| confined.confinement.user.is_some())
    }

    /// Says what is allowed and most likely not meant: jobs as root, and scratch directories in a place that their user cannot reach.
    pub(crate) fn warn(&self, scratch: &Path) {
        if self.as_root_unasked {
            tracing::warn!(
                "JOBS RUN AS ROOT: whoever can submit one owns this host. Say run_as = \"user\" in [exec] of --config, or \
                 \"root\" if that is meant"
            );
        }
        let mut told: Vec<PathBuf> = Vec::new();
        for user in self.all().filter_map(|confined| confined.confinement.user.as_ref()) {
            let Some(barred) = dirs::barred(user, scratch).filter(|barred| !told.contains(barred)) else { continue };
            let (uid, directory) = (user.uid, barred.display());
            tracing::warn!(uid, %directory, "jobs will not start: their user may not pass; chmod o+x it, or move --data");
            told.push(barred);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Confined> {
        std::iter::once(&self.commands).chain(&self.workers)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::confined::tests::{host, texts};
    use super::*;

    /// What an agent with this file makes of it.
    fn confining(host: &Host, file: &str) -> Result<Confining, ConfigError> {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), file).unwrap();
        let args = ["--data".into(), "/d".into(), "--config".into(), path.path().as_os_str().to_owned()];
        Confining::on(host, &Options::parse_args(&args.map(OsString::from)).unwrap())
    }

    const POOL: &str = "[[pool]]\nname = \"p\"\ncommand = [\"w\"]\n";

    #[test]
    fn workers_share_the_cores_and_what_is_said_for_commands() {
        let exec = "[exec]\nnice = 7\nenv_pass = [\"SECRET\"]\n";
        let confining = confining(&host(0), &format!("{exec}{POOL}max = 4\numask = \"077\"\n")).unwrap();
        let workers = &confining.workers[0];
        assert_eq!((workers.confinement.nice, workers.confinement.umask), (7, Some(0o077)));
        let threads = ["OMP_NUM_THREADS=2", "MKL_NUM_THREADS=2", "OPENBLAS_NUM_THREADS=2"];
        assert_eq!(texts(workers)[..3], threads);
        assert_eq!(texts(workers)[3..], texts(&confining.commands));
        assert_eq!(texts(&confining.commands), ["PATH=/bin", "HOME=/home/agent", "SECRET=s"]);
    }

    #[test]
    fn a_lone_worker_may_use_all_cores() {
        let confining = confining(&host(0), &format!("{POOL}max = 1\n")).unwrap();
        assert_eq!(texts(&confining.workers[0]), texts(&confining.commands));
    }

    #[test]
    fn what_this_host_has_not_is_named_with_its_table() {
        let problem = |file: &str| confining(&host(0), file).unwrap_err().to_string();
        assert_eq!(
            problem("[exec]\nrun_as = \"no-such-user\"\n"),
            "--config [exec]: run_as: this host knows no user \"no-such-user\""
        );
        assert_eq!(
            problem(&format!("{POOL}run_as = \"root:no-such-group\"\n")),
            "--config [[pool]] \"p\": run_as: this host knows no group \"no-such-group\""
        );
    }

    #[test]
    fn root_is_warned_of_unless_it_was_said() {
        let unasked = |uid, file: &str| confining(&host(uid), file).unwrap().as_root_unasked;
        assert!(unasked(0, ""));
        assert!(!unasked(0, "[exec]\nrun_as = \"root\"\n") && !unasked(1000, ""));
    }
}
