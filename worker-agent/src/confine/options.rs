//! What the operator says about jobs, as `[exec]` spells it, and about workers, as each `[[pool]]` does.

use serde::Deserialize;

use super::env;
use super::limits::LimitOptions;

/// Niceness beside the agent's own: it must get a processor before those it watches.
const NICE: i32 = 5;
/// A job is killed before the agent and before what else the host does when memory runs out.
const OOM_SCORE_ADJ: i32 = 500;
/// Descriptors: enough for servers, and a leak is noticed before the host's table is full.
const NOFILE: u64 = 4_096;
/// With fewer, dynamic linking of some programs fails.
const NOFILE_MIN: u64 = 16;
/// What no kernel takes more of without a change to `fs.nr_open`.
const NOFILE_MAX: u64 = 1 << 20;

/// How processes are confined. What a pool does not say is as `[exec]` says, key by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfineOptions {
    /// Who they become: `"user"`, `"user:group"`, or numbers. An agent that is not root can say only itself. Absent: the agent's own
    /// user, which for root is worth a warning; `"root"` says that it is meant.
    pub run_as: Option<String>,
    /// Niceness beside the agent's, -20 to 19; below 0 needs privileges. Absent: 5.
    pub nice: Option<i32>,
    /// How much sooner than others they are killed when memory runs out, 0 to 1000; an agent that has more passes that on.
    /// Absent: 500.
    pub oom_score_adj: Option<i32>,
    /// Mode bits that their files do not get, in octal: `"027"`. Absent: those of 022, and of the agent's own mask.
    pub umask: Option<String>,
    /// Variables of the agent's own environment that they get as well, up to 64; `"AWS_*"` is all that begin so. Absent: none.
    pub env_pass: Option<Vec<String>>,
    /// Descriptors that each process can have open, 16 to 1,048,576, at most the agent's hard limit, up to which a process can
    /// raise it. Absent: 4096.
    pub nofile: Option<u64>,
    /// Whether the kernel may write core dumps, as large as the agent's own could be. Absent: no, for they fill disks and hold
    /// secrets.
    pub core_dumps: Option<bool>,
    /// Whether set-user-id programs and the like, such as sudo, run without their privileges. Absent: yes.
    // What became root by itself cannot be killed by an agent that is not.
    pub no_new_privs: Option<bool>,
    /// Resource limits.
    #[serde(default)]
    pub limits: LimitOptions,
}

impl ConfineOptions {
    /// Looks at every bound; the problem is to be read after the table's name.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.nice.is_some_and(|nice| !(-20..=19).contains(&nice)) {
            return Err("nice must be -20 to 19".into());
        }
        if self.oom_score_adj.is_some_and(|score| !(0..=1000).contains(&score)) {
            return Err("oom_score_adj must be 0 to 1000".into());
        }
        if self.umask.as_deref().is_some_and(|umask| octal(umask).is_none()) {
            return Err("umask must be octal, such as \"027\", and at most \"777\"".into());
        }
        if self.nofile.is_some_and(|nofile| !(NOFILE_MIN..=NOFILE_MAX).contains(&nofile)) {
            return Err(format!("nofile must be {NOFILE_MIN} to {NOFILE_MAX}"));
        }
        env::check_passed(self.env_pass())?;
        self.limits.check()
    }

    /// This, with what it does not say from `base`.
    pub(super) fn or(&self, base: &Self) -> Self {
        Self {
            run_as: self.run_as.clone().or_else(|| base.run_as.clone()),
            nice: self.nice.or(base.nice),
            oom_score_adj: self.oom_score_adj.or(base.oom_score_adj),
            umask: self.umask.clone().or_else(|| base.umask.clone()),
            env_pass: self.env_pass.clone().or_else(|| base.env_pass.clone()),
            nofile: self.nofile.or(base.nofile),
            core_dumps: self.core_dumps.or(base.core_dumps),
            no_new_privs: self.no_new_privs.or(base.no_new_privs),
            limits: self.limits.or(&base.limits),
        }
    }

    pub(super) fn nice(&self) -> i32 {
        self.nice.unwrap_or(NICE)
    }

    pub(super) fn oom_score_adj(&self) -> i32 {
        self.oom_score_adj.unwrap_or(OOM_SCORE_ADJ)
    }

    pub(super) fn umask(&self) -> Option<u32> {
        self.umask.as_deref().and_then(octal)
    }

    pub(super) fn env_pass(&self) -> &[String] {
        self.env_pass.as_deref().unwrap_or_default()
    }

    pub(super) fn nofile(&self) -> u64 {
        self.nofile.unwrap_or(NOFILE)
    }

    pub(super) fn core_dumps(&self) -> bool {
        self.core_dumps.unwrap_or(false)
    }

    pub(super) fn no_new_privs(&self) -> bool {
        self.no_new_privs.unwrap_or(true)
    }
}

/// A mode in octal digits.
fn octal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mode| *mode <= 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containment::Limits;

    fn problem(text: &str) -> Result<(), String> {
        toml::from_str::<ConfineOptions>(text).unwrap().check()
    }

    #[test]
    fn what_cannot_be_right_is_named_by_its_key() {
        assert_eq!(problem(""), Ok(()));
        assert_eq!(
            problem("nice = -20\numask = \"0777\"\nenv_pass = [\"LC_X\", \"AWS_*\"]\n[limits]\ncpu_s = 1"),
            Ok(())
        );
        for (text, named) in [
            ("nice = 20", "nice must be -20 to 19"),
            ("oom_score_adj = -1", "oom_score_adj must be 0 to 1000"),
            ("umask = \"8\"", "umask must be octal"),
            ("umask = \"1000\"", "umask must be octal"),
            ("umask = \"\"", "umask must be octal"),
            ("umask = \"+7\"", "umask must be octal"),
            ("nofile = 15", "nofile must be 16 to 1048576"),
            ("env_pass = [\"A B\"]", "env_pass holds \"A B\""),
            ("env_pass = [\"WINDLASS_X\"]", "env_pass holds \"WINDLASS_X\""),
            ("[limits]\nmemory_bytes = 4194303", "limits.memory_bytes must be at least 4194304"),
            ("[limits]\npids = 0", "limits.pids must be at least 1"),
            ("[limits]\ncpu_weight = 0", "limits.cpu_weight must be 1 to 10000"),
            ("[limits]\ncpu_weight = 10001", "limits.cpu_weight must be 1 to 10000"),
            ("[limits]\ncpu_s = 0", "limits.cpu_s must be at least 1"),
            ("[limits]\nas_bytes = 4096", "limits.as_bytes must be at least 1048576"),
        ] {
            let said = problem(text).unwrap_err();
            assert!(said.starts_with(named), "{text}: {said}");
        }
        let misspelt = toml::from_str::<ConfineOptions>("[limits]\ncpu = 1").unwrap_err().to_string();
        assert!(misspelt.contains("unknown field `cpu`"), "{misspelt}");
    }

    #[test]
    fn what_a_pool_does_not_say_is_as_for_commands_key_by_key() {
        let parse = |text| toml::from_str::<ConfineOptions>(text).unwrap();
        let base = parse("nice = 1\nrun_as = \"a\"\ncore_dumps = true\n[limits]\ncpu_s = 9\nnproc = 5");
        let pool = parse("nice = 2\numask = \"077\"\n[limits]\ncpu_s = 3");
        let both =
            parse("nice = 2\nrun_as = \"a\"\ncore_dumps = true\numask = \"077\"\n[limits]\ncpu_s = 3\nnproc = 5");
        assert_eq!(pool.or(&base), both);
        let tree = parse("[limits]\nmemory_bytes = 5000000\npids = 7\ncpu_weight = 300").or(&base);
        let inherited = Limits { pids: Some(7), cpu_weight: Some(300), ..Limits::default() };
        assert_eq!(parse("").or(&tree).limits.to_tree(), inherited);
        assert_eq!(parse("[limits]\ncpu_weight = 20").or(&tree).limits.to_tree().cpu_weight, Some(20));
        assert_eq!(parse("").limits.to_tree().pids, Some(1024));
        let own = Limits { memory_bytes: Some(5_000_000), pids: Some(7), cpu_weight: Some(300) };
        assert_eq!(tree.limits.to_tree(), own);
    }
}
