//! What is allowed, and the word that something is not.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use windlass_shared::domain::{ExecSpec, JobSpec, Work};

use super::place::Place;
use crate::config::Options;
use crate::confine::{Confined, Confining};
use crate::sys::users;
use crate::worker::PoolOptions;

/// What a host accepts. A rule that is not said allows everything; an empty one nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What commands and workers may be, by whole paths, or beginnings of paths and `*`.
    pub(super) programs: Option<Rule<Vec<String>>>,
    /// Whom commands and workers may run as, by name or number.
    pub(super) users: Option<Rule<Vec<String>>>,
    /// Where jobs may ask to run: these directories and what is below them. Scratch directories are always allowed.
    pub(super) cwd_roots: Option<Rule<Vec<String>>>,
    /// Variables that jobs may set, by name, or beginning of a name and `*`.
    pub(super) env: Option<Rule<Vec<String>>>,
    pub(super) max: Max,
}

/// The most of each that is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Max {
    pub(super) run_timeout: Option<Rule<Duration>>,
    pub(super) stop_grace: Option<Rule<Duration>>,
    pub(super) stdin_bytes: Option<Rule<u64>>,
    /// Of a command's or a worker's whole tree.
    pub(super) memory_bytes: Option<Rule<u64>>,
    pub(super) pids: Option<Rule<u32>>,
}

/// What is allowed, and where that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule<T> {
    pub(super) place: Place,
    pub(super) allows: T,
}

/// Something that this host does not accept, and by which of its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The rule's key.
    pub(crate) rule: &'static str,
    /// Where it is said.
    pub(crate) place: Place,
    /// What breaks it, and what would not.
    pub(crate) why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this host's policy does not allow it ({}, {}): {}", self.place, self.rule, self.why)
    }
}

impl<T> Rule<T> {
    fn broken(&self, rule: &'static str, why: String) -> Violation {
        Violation { rule, place: self.place.clone(), why }
    }
}

impl Policy {
    /// Whether a job may run here, but for where its program is found.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub(crate) fn check(&self, spec: &JobSpec) -> Result<(), Violation> {
        self.check_times(spec)?;
        let Work::Exec(exec) = &spec.work else { return Ok(()) };
        self.check_env(exec)?;
        self.check_cwd(exec)?;
        let stdin = exec.stdin.len() as u64;
        match &self.max.stdin_bytes {
            Some(max) if stdin > max.allows => {
                Err(max.broken("max.stdin_bytes", format!("{stdin} bytes of standard input, {} at most", max.allows)))
            }
            _ => Ok(()),
        }
    }

    fn check_times(&self, spec: &JobSpec) -> Result<(), Violation> {
        if let Some(max) = &self.max.run_timeout {
            let limit = max.allows.as_secs_f64();
            match spec.run_timeout {
                None => {
                    let why = format!("a job must have a run timeout, of {limit} s at most");
                    return Err(max.broken("max.run_timeout", why));
                }
                Some(asked) if asked > max.allows => {
                    let why = format!("a run timeout of {} s, {limit} s at most", asked.as_secs_f64());
                    return Err(max.broken("max.run_timeout", why));
                }
                Some(_) => {}
            }
        }
        match &self.max.stop_grace {
            Some(max) if spec.stop_grace > max.allows => {
                let (asked, limit) = (spec.stop_grace.as_secs_f64(), max.allows.as_secs_f64());
                Err(max.broken("max.stop_grace", format!("a stop grace of {asked} s, {limit} s at most")))
            }
            _ => Ok(()),
        }
    }

    fn check_env(&self, exec: &ExecSpec) -> Result<(), Violation> {
        let Some(env) = &self.env else { return Ok(()) };
        match exec.env.iter().find(|(name, _)| !env.allows.iter().any(|entry| begins(entry, name))) {
            Some((name, _)) => Err(env.broken("env", format!("{name} is not among the variables that jobs may set"))),
            None => Ok(()),
        }
    }

    fn check_cwd(&self, exec: &ExecSpec) -> Result<(), Violation> {
        let (Some(roots), Some(cwd)) = (&self.cwd_roots, &exec.cwd) else { return Ok(()) };
        let clean = cwd.to_str().is_some_and(is_clean) || cwd == Path::new("/");
        if clean && roots.allows.iter().any(|root| cwd.starts_with(root)) {
            return Ok(());
        }
        Err(roots.broken("cwd_roots", format!("{} is not below the directories where jobs may run", cwd.display())))
    }

    /// What is to be run in place of a program as a job names it: a bare name is looked up on `path` among what is allowed. None:
    /// as it is named.
    ///
    /// # Errors
    /// Where it is not allowed.
    pub(crate) fn program(&self, named: &str, path: Option<&[u8]>) -> Result<Option<String>, Violation> {
        let Some(programs) = &self.programs else { return Ok(None) };
        if named.contains('/') {
            let allowed = programs.allow(named);
            let why = || format!("{named} is not among the programs of this host, which are named by whole paths");
            return if allowed { Ok(None) } else { Err(programs.broken("programs", why())) };
        }
        let directories = path.and_then(|path| str::from_utf8(path).ok()).unwrap_or_default().split(':');
        let mut candidates = directories.map(|directory| format!("{}/{named}", directory.trim_end_matches('/')));
        // What is not allowed is not even looked at: a job could point the search at a mount that hangs.
        let found = candidates.find(|candidate| programs.allow(candidate) && is_program(candidate));
        let why = || format!("{named} is not among the programs of this host on the job's PATH");
        found.map(Some).ok_or_else(|| programs.broken("programs", why()))
    }

    /// Whether the agent's own configuration is within it.
    ///
    /// # Errors
    /// The first rule that it breaks, and by what.
    pub(super) fn check_host(&self, options: &Options, confining: &Confining) -> Result<(), Violation> {
        self.check_confined("[exec]", "limits.memory_bytes", &confining.commands)?;
        for (pool, confined) in options.pools.iter().zip(&confining.workers) {
            self.check_pool(pool, confined)?;
        }
        Ok(())
    }

    fn check_pool(&self, pool: &PoolOptions, confined: &Confined) -> Result<(), Violation> {
        let table = format!("[[pool]] {:?}", pool.name);
        let with_limit = Confined {
            limits: crate::containment::Limits { memory_bytes: pool.memory_limit_bytes(), ..confined.limits },
            ..confined.clone()
        };
        self.check_confined(&table, "memory_limit", &with_limit)?;
        let Some(programs) = &self.programs else { return Ok(()) };
        match pool.command.first() {
            Some(program) if !programs.allow(program) => {
                let why = format!("{table}: {program} is not among the programs of this host, named by whole paths");
                Err(programs.broken("programs", why))
            }
            _ => Ok(()),
        }
    }

    fn check_confined(&self, table: &str, memory_key: &str, confined: &Confined) -> Result<(), Violation> {
        let uid = confined.confinement.user.as_ref().map(|user| user.uid);
        let uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
        if let Some(users) = &self.users
            && !users.allows.iter().any(|user| is_user(user, uid))
        {
            let why = format!("{table}: user {uid} is not among those that jobs may run as: say run_as");
            return Err(users.broken("users", why));
        }
        if let Some(max) = &self.max.memory_bytes
            && confined.limits.memory_bytes.is_none_or(|bytes| bytes > max.allows)
        {
            let why = format!("{table}: {memory_key} must be said, and at most {}", max.allows);
            return Err(max.broken("max.memory_bytes", why));
        }
        match &self.max.pids {
            Some(max) if confined.limits.pids.is_none_or(|pids| pids > max.allows) => {
                Err(max.broken("max.pids", format!("{table}: limits.pids must be at most {}", max.allows)))
            }
            _ => Ok(()),
        }
    }
}

impl Rule<Vec<String>> {
    fn allow(&self, path: &str) -> bool {
        is_clean(path) && self.allows.iter().any(|entry| begins(entry, path))
    }
}

/// Whether text is the entry, or begins with it where that ends in `*`.
fn begins(entry: &str, text: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == entry,
    }
}

/// Whether a path says where it leads: whole, and without a way back.
pub(super) fn is_clean(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("") && !path.contains('\0') && parts.all(|part| !matches!(part, "" | "." | ".."))
}

fn is_program(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Whether the user of this name or number is this one. One that the host does not know is nobody.
fn is_user(user: &str, uid: u32) -> bool {
    if let Ok(number) = user.parse::<u32>() {
        return number == uid;
    }
    let named = std::ffi::CString::new(user).ok().and_then(|name| users::user_named(&name).ok().flatten());
    named.is_some_and(|found| found.uid == uid)
}
