//! What processes of one kind get: commands, or the workers of one pool.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{self as unix, DirBuilderExt};
use std::path::Path;

use super::account::Account;
use super::env::{self, Env};
use super::host::Host;
use super::options::ConfineOptions;
use crate::containment::Limits;
use crate::process::{Confinement, Limit, Resource};

/// Bits that no file of a job's gets unless the operator says so: to be written by others.
const UMASK: u32 = 0o022;

/// What processes of one kind get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Confined {
    pub(crate) confinement: Confinement,
    /// What each of them may take with all it starts.
    pub(crate) limits: Limits,
    /// What each of them finds in its environment.
    pub(crate) env: Env,
}

impl Confined {
    /// What these options make of this host. What is in `threads` is in the environment unless that has it already.
    ///
    /// # Errors
    /// What cannot be had, in words.
    pub(super) fn new(options: &ConfineOptions, host: &Host, threads: &Env) -> Result<Self, String> {
        let passed = env::passed(&host.env, options.env_pass());
        let account = options.run_as.as_deref().map(|run_as| become_user(run_as, host)).transpose()?.flatten();
        let (user, login) = account.map(|account| (account.user, account.env)).unzip();
        let env = env::merged(threads, env::merged(&passed, login.unwrap_or_default()));
        let confinement = Confinement { user, ..confinement(options, host) };
        Ok(Self { confinement, limits: options.limits.to_tree(), env })
    }

    /// What the agent has, but for its environment.
    pub(super) fn nothing(host: &Host) -> Self {
        Self { env: env::passed(&host.env, &[]), ..Self::default() }
    }

    /// Whether processes that got this need not be replaced by ones that get `other`. How many share the cores is no reason to.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let own = |env: &Env| -> Vec<_> {
            env.iter().filter(|(name, _)| !name.ends_with(b"_NUM_THREADS")).cloned().collect()
        };
        (&self.confinement, self.limits) == (&other.confinement, other.limits) && own(&self.env) == own(&other.env)
    }

    /// The first of these variables that a job may not set here.
    pub(crate) fn denies<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        if self.confinement.user.is_some() { env::denied(names) } else { None }
    }

    /// Makes a directory that is theirs alone.
    ///
    /// # Errors
    /// What the system says; then there is none.
    pub(crate) fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        let Some(user) = &self.confinement.user else { return Ok(()) };
        let given = unix::chown(path, Some(user.uid), Some(user.gid));
        if given.is_err() {
            // Of no use to anybody.
            let _ = fs::remove_dir(path);
        }
        given
    }
}

/// The account, or None where that is the agent's own.
fn become_user(run_as: &str, host: &Host) -> Result<Option<Account>, String> {
    let account = Account::find(run_as)?;
    if (account.user.uid, account.user.gid) == (host.uid, host.gid) {
        return Ok(None);
    }
    if host.uid != 0 {
        return Err(format!("run_as = {run_as:?} needs an agent that was started as root"));
    }
    Ok(Some(account))
}

fn confinement(options: &ConfineOptions, host: &Host) -> Confinement {
    // Never lowered, which would need privileges; and where the agent has as much, it is inherited.
    let oom_score_adj =
        host.oom_score_adj.filter(|own| *own < options.oom_score_adj()).map(|_| options.oom_score_adj());
    let nofile = Limit { resource: Resource::Nofile, soft: Some(options.nofile()), hard: None };
    let core = Limit { resource: Resource::Core, soft: None, hard: Some(0) };
    let core = (!options.core_dumps()).then_some(core);
    Confinement {
        oom_score_adj,
        nice: options.nice(),
        limits: options.limits.to_limits().chain([nofile]).chain(core).collect(),
        umask: Some(options.umask().unwrap_or(host.umask | UMASK)),
        user: None,
        no_new_privs: options.no_new_privs(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::process::User;

    /// One whose agent is this user.
    pub(in super::super) fn host(uid: u32) -> Host {
        let env = [("PATH", "/bin"), ("HOME", "/home/agent"), ("SECRET", "s")];
        let env = env.map(|(name, value)| (name.into(), value.into())).into();
        Host { env, uid, gid: uid, oom_score_adj: Some(0), umask: 0o007, cores: 8 }
    }

    pub(in super::super) fn texts(confined: &Confined) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        confined.env.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect()
    }

    fn confined(host: &Host, options: &str) -> Result<Confined, String> {
        Confined::new(&toml::from_str(options).unwrap(), host, &Env::new())
    }

    #[test]
    fn unless_told_otherwise_a_command_is_nicer_dies_sooner_and_keeps_its_files() {
        let confined = confined(&host(1000), "").unwrap();
        let nofile = Limit { resource: Resource::Nofile, soft: Some(4096), hard: None };
        let core = Limit { resource: Resource::Core, soft: None, hard: Some(0) };
        let expected = Confinement {
            oom_score_adj: Some(500),
            nice: 5,
            limits: vec![nofile, core],
            umask: Some(0o027),
            user: None,
            no_new_privs: true,
        };
        assert_eq!(confined.confinement, expected);
        assert_eq!(texts(&confined), ["PATH=/bin", "HOME=/home/agent"]);
        assert_eq!(confined.denies(["LD_PRELOAD"].into_iter()), None);
    }

    #[test]
    fn what_is_told_is_done() {
        let said = "nice = -3\noom_score_adj = 9\numask = \"0\"\nnofile = 99\ncore_dumps = true\nno_new_privs = false\n[limits]\ncpu_s = 4";
        let nofile = Limit { resource: Resource::Nofile, soft: Some(99), hard: None };
        let cpu = Limit { resource: Resource::Cpu, soft: None, hard: Some(4) };
        let expected = Confinement {
            oom_score_adj: Some(9),
            nice: -3,
            limits: vec![cpu, nofile],
            umask: Some(0),
            user: None,
            no_new_privs: false,
        };
        assert_eq!(confined(&host(1000), said).unwrap().confinement, expected);
    }

    #[test]
    fn a_score_that_the_agent_has_already_or_that_cannot_be_written_is_left_alone() {
        let score = |own| {
            let host = Host { oom_score_adj: own, ..host(1000) };
            confined(&host, "").unwrap().confinement.oom_score_adj
        };
        assert_eq!([score(Some(700)), score(Some(500)), score(None), score(Some(-900))], [None, None, None, Some(500)]);
    }

    #[test]
    fn another_user_denies_what_loads_code() {
        let other = confined(&host(0), "run_as = \"3999999998:77\"").unwrap();
        assert_eq!(other.confinement.user, Some(User { uid: 3_999_999_998, gid: 77, groups: vec![77] }));
        assert_eq!(other.denies(["A", "LD_PRELOAD"].into_iter()), Some("LD_PRELOAD"));
        assert_eq!(other.denies(["A"].into_iter()), None);
    }

    #[test]
    fn who_the_agent_is_already_needs_no_change_and_another_needs_root() {
        assert_eq!(confined(&host(0), "run_as = \"root\"").unwrap().confinement.user, None);
        let refused = confined(&host(1000), "run_as = \"root\"").unwrap_err();
        assert_eq!(refused, "run_as = \"root\" needs an agent that was started as root");
    }
}
