//! Environments: what of the agent's own is passed on, and what jobs may not say.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Names and values, as execve takes them.
pub(crate) type Env = Vec<(Vec<u8>, Vec<u8>)>;

/// What every process gets of the agent's own environment. The rest is the agent's business, secrets among it.
const PASSED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR"];
/// Names or beginnings of names that can be passed beside those.
const PASSED_MORE_MAX: usize = 64;

/// What decides which code a program of the operator's runs, and so must not come from a job where that becomes another user: its
/// rights would be the job's.
const DENIED: [&str; 5] = ["LD_*", "BASH_ENV", "ENV", "PYTHONSTARTUP", "NODE_OPTIONS"];

/// What libraries take the number of their threads from: each worker would start as many as there are cores.
const THREADS: [&str; 3] = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"];

/// What is passed on of `own`.
pub(super) fn passed(own: &[(OsString, OsString)], more: &[String]) -> Env {
    let wanted =
        |name: &OsStr| PASSED.into_iter().chain(more.iter().map(String::as_str)).any(|pattern| matches(pattern, name));
    let kept = own.iter().filter(|(name, _)| wanted(name));
    kept.map(|(name, value)| (name.clone().into_vec(), value.clone().into_vec())).collect()
}

/// `base` with `given` in place of what it names too.
pub(crate) fn merged(base: &Env, given: Env) -> Env {
    let kept = base.iter().filter(|(name, _)| !given.iter().any(|(other, _)| other == name));
    let mut env: Env = kept.cloned().collect();
    env.extend(given);
    env
}

/// The first of these names that a job may not set where it becomes another user.
pub(super) fn denied<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.find(|name| DENIED.into_iter().any(|pattern| matches(pattern, OsStr::new(name))))
}

/// How many threads a library should start in each of `workers` on so many cores.
pub(super) fn threads(workers: u32, cores: u32) -> Env {
    let each = (cores / workers.max(1)).max(1).to_string();
    THREADS.map(|name| (name.into(), each.clone().into_bytes())).into()
}

/// Whether what is to be passed on are names, and not ours.
pub(super) fn check_passed(patterns: &[String]) -> Result<(), String> {
    if patterns.len() > PASSED_MORE_MAX {
        return Err(format!("env_pass holds {} names, the limit is {PASSED_MORE_MAX}", patterns.len()));
    }
    let is_name = |pattern: &String| {
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    // A beginning that ours begin with as well would pass them on.
    let is_ours = |pattern: &String| {
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        name.starts_with("WINDLASS_") || (name != pattern && "WINDLASS_".starts_with(name))
    };
    match patterns.iter().find(|pattern| !is_name(pattern) || is_ours(pattern)) {
        Some(pattern) => Err(format!(
            "env_pass holds {pattern:?}: it takes names of [A-Za-z0-9_] that do not begin with WINDLASS_, with * at the end for all that begin so"
        )),
        None => Ok(()),
    }
}

/// A name, or with `*` at the end all that begin so.
fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.as_bytes().starts_with(beginning.as_bytes()),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(env: &Env) -> Vec<&str> {
        env.iter().map(|(name, _)| str::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn of_the_agents_own_only_what_is_named_is_passed_on() {
        let own = ["PATH", "LC_ALL", "LC", "AWS_SECRET", "HOME", "USER", "XAWS_"].map(|name| (name.into(), "v".into()));
        assert_eq!(names(&passed(&own, &[])), ["PATH", "LC_ALL", "HOME"]);
        assert_eq!(
            names(&passed(&own, &["AWS_*".into(), "USER".into()])),
            ["PATH", "LC_ALL", "AWS_SECRET", "HOME", "USER"]
        );
    }

    #[test]
    fn what_loads_code_is_denied_by_its_name() {
        for name in ["LD_PRELOAD", "LD_", "BASH_ENV", "ENV", "PYTHONSTARTUP", "NODE_OPTIONS"] {
            assert_eq!(denied(["A", name].into_iter()), Some(name));
        }
        assert_eq!(denied(["LDFLAGS", "ENVIRONMENT", "MY_ENV"].into_iter()), None);
    }

    #[test]
    fn cores_are_shared_out_among_workers_and_each_has_one() {
        let each = |workers, cores| String::from_utf8(threads(workers, cores)[0].1.clone()).unwrap();
        assert_eq!([each(2, 8), each(3, 8), each(9, 8), each(1, 8)], ["4", "2", "1", "8"]);
    }

    #[test]
    fn ours_cannot_be_passed_on_by_a_short_beginning() {
        for pattern in ["*", "W*", "WINDLASS*", "WINDLASS_LOG", "A=B", "A*B"] {
            assert!(check_passed(&[pattern.into()]).is_err(), "{pattern}");
        }
        assert_eq!(check_passed(&["WIN".into(), "A*".into()]), Ok(()));
        assert!(check_passed(&vec!["A".into(); 65]).is_err());
    }
}
