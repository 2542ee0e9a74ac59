//! Which pools an agent can have: every bound of what its configuration says of them, and what they must be among each other.

use windlass_shared::limits::{self, is_name};

use super::bytes::Bytes;
use super::options::{PREFETCH_MAX, PoolOptions};
use super::sizing::Mode;

/// Workers of one pool.
pub(super) const WORKERS_MAX: u32 = 1_024;
/// Longest of the times of a pool: a day is a unit mistaken.
const SECONDS_MAX: u32 = 24 * 3600;
/// Longest life of a worker: a year is as good as none.
const AGE_SECONDS_MAX: u32 = 365 * SECONDS_MAX;

/// Looks at every bound of all pools, which must fit into the slots.
///
/// # Errors
/// The first thing that cannot be right.
pub(crate) fn check_pools(pools: &[PoolOptions], slots: u32) -> Result<(), String> {
    if pools.len() > limits::POOLS_MAX {
        return Err(format!("holds {} pools, the limit is {}", pools.len(), limits::POOLS_MAX));
    }
    let (mut names, mut handlers, mut workers) = (Vec::new(), Vec::new(), 0_u32);
    for pool in pools {
        if let Err(problem) = pool.check() {
            return Err(format!("[[pool]] {:?}: {problem}", pool.name));
        }
        if names.contains(&&pool.name) {
            return Err(format!("has two pools named {:?}", pool.name));
        }
        for handler in &pool.handlers {
            if handlers.contains(&handler) {
                return Err(format!("[[pool]] {:?}: the handler {handler:?} is named twice", pool.name));
            }
            handlers.push(handler);
        }
        names.push(&pool.name);
        workers += pool.max;
    }
    if workers > slots {
        return Err(format!(
            "the pools have {workers} workers, and the agent {slots} slots: raise --slots or lower max"
        ));
    }
    Ok(())
}

impl PoolOptions {
    fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("name must be 1 to {} of [a-zA-Z0-9._-]", limits::NAME_BYTES_MAX));
        }
        if self.command.first().is_none_or(String::is_empty) {
            return Err("command must name a program".into());
        }
        if !(1..=WORKERS_MAX).contains(&self.max) {
            return Err(format!("max must be 1 to {WORKERS_MAX}"));
        }
        self.check_size()?;
        self.check_recycling()?;
        if self.prefetch > PREFETCH_MAX {
            return Err(format!("prefetch must be at most {PREFETCH_MAX}"));
        }
        if self.handlers.len() > limits::HANDLERS_MAX || !self.handlers.iter().all(|handler| is_name(handler)) {
            let max = limits::HANDLERS_MAX;
            return Err(format!("handlers must be at most {max}, each 1 to 128 of [a-zA-Z0-9._-]"));
        }
        if !(1..=600).contains(&self.start_timeout_s) {
            return Err("start_timeout_s must be 1 to 600".into());
        }
        self.confine.check()?;
        if self.confine.limits.memory_bytes.is_some() {
            return Err("limits.memory_bytes is for commands: say memory_limit, which is a worker's".into());
        }
        if self.cwd.as_ref().is_some_and(|cwd| !cwd.is_absolute()) {
            return Err("cwd must be absolute".into());
        }
        let bad = |(name, value): (&String, &String)| {
            name.is_empty() || name.contains(['=', '\0']) || name.starts_with("WINDLASS_") || value.contains('\0')
        };
        if self.env.iter().any(bad) {
            return Err("env must hold names without \"=\" that do not begin with WINDLASS_, and no NUL".into());
        }
        Ok(())
    }

    fn check_recycling(&self) -> Result<(), String> {
        if self.max_age_s.is_some_and(|seconds| !(1..=AGE_SECONDS_MAX).contains(&seconds)) {
            return Err(format!("max_age_s must be 1 to {AGE_SECONDS_MAX}"));
        }
        for (key, bytes) in [("max_rss", self.max_rss), ("memory_limit", self.memory_limit)] {
            if bytes.is_some_and(|bytes| bytes < Bytes::LEAST) {
                return Err(format!("{key} must be at least {}, which a process without any code takes", Bytes::LEAST));
            }
        }
        if let (Some(rss), Some(limit)) = (self.max_rss, self.memory_limit)
            && rss > limit
        {
            return Err("max_rss must be at most memory_limit, at which nothing is let finish".into());
        }
        Ok(())
    }

    fn check_size(&self) -> Result<(), String> {
        let (mode, min) = (self.mode(), self.min());
        if min > self.max {
            return Err("min must be at most max".into());
        }
        if mode == Mode::Static && min != self.max {
            return Err("min must be max where mode is static: leave it out, or say mode = \"dynamic\"".into());
        }
        if mode == Mode::Ondemand && min > 0 {
            return Err("min must be 0 where mode is ondemand: leave it out, or say mode = \"dynamic\"".into());
        }
        if min == 0 && self.handlers.is_empty() {
            return Err("min = 0 needs handlers: nobody is there to announce them".into());
        }
        if self.min_idle.is_some_and(|idle| mode != Mode::Dynamic || idle > self.max) {
            return Err("min_idle must be at most max, and only a dynamic pool has it".into());
        }
        if self.idle_timeout_s.is_some_and(|seconds| !(1..=SECONDS_MAX).contains(&seconds)) {
            return Err(format!("idle_timeout_s must be 1 to {SECONDS_MAX}"));
        }
        if !(1..=SECONDS_MAX).contains(&self.shrink_interval_s) {
            return Err(format!("shrink_interval_s must be 1 to {SECONDS_MAX}"));
        }
        if self.start_concurrency.is_some_and(|many| !(1..=WORKERS_MAX).contains(&many)) {
            return Err(format!("start_concurrency must be 1 to {WORKERS_MAX}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::pools;
    use super::*;
    use crate::config::ConfigError;

    #[test]
    fn what_cannot_be_right_is_named_by_its_pool() {
        let problem = |rest: &str| {
            let text = format!("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\n{rest}\n");
            ConfigError::in_file(check_pools(&pools(&text), 2).unwrap_err()).to_string()
        };
        assert_eq!(problem("max = 0"), "--config [[pool]] \"p\": max must be 1 to 1024");
        assert_eq!(problem("min = 2"), "--config [[pool]] \"p\": min must be at most max");
        assert!(problem("min = 0").contains("min = 0 needs handlers"));
        assert!(problem("mode = \"ondemand\"").contains("min = 0 needs handlers"));
        assert!(problem("max = 2\nmin = 1\nmode = \"static\"").contains("min must be max where mode is static"));
        assert!(problem("min = 1\nmode = \"ondemand\"").contains("min must be 0 where mode is ondemand"));
        assert!(problem("min_idle = 1").contains("min_idle must be at most max"));
        assert!(problem("mode = \"dynamic\"\nmin_idle = 2").contains("min_idle must be at most max"));
        assert!(problem("idle_timeout_s = 0").contains("idle_timeout_s must be 1 to 86400"));
        assert!(problem("shrink_interval_s = 0").contains("shrink_interval_s must be 1 to 86400"));
        assert!(problem("max_age_s = 0").contains("max_age_s must be 1 to 31536000"));
        assert!(problem("max_rss = 1").contains("max_rss must be at least 4MiB"));
        assert!(
            problem("memory_limit = \"8MiB\"\nmax_rss = \"9MiB\"").contains("max_rss must be at most memory_limit")
        );
        assert!(problem("start_concurrency = 0").contains("start_concurrency must be 1 to 1024"));
        assert!(problem("prefetch = 33").contains("prefetch must be at most 32"));
        assert!(problem("handlers = [\"a b\"]").contains("handlers must be"));
        assert!(problem("cwd = \"x\"").contains("cwd must be absolute"));
        assert!(problem("env = { WINDLASS_X = \"1\" }").contains("env must hold"));
        assert!(problem("nice = 20").contains("[[pool]] \"p\": nice must be"));
        assert!(problem("[pool.limits]\ncpu_s = 0").contains("[[pool]] \"p\": limits.cpu_s must be"));
        assert!(problem("max = 3").contains("3 workers, and the agent 2 slots"));
        assert!(problem("[[pool]]\nname = \"p\"\ncommand = [\"w\"]").contains("two pools named \"p\""));
        let same = "handlers = [\"a\"]\n[[pool]]\nname = \"q\"\ncommand = [\"w\"]\nhandlers = [\"a\"]";
        assert!(problem(same).contains("the handler \"a\" is named twice"));
        assert!(problem("handlers = [\"a\", \"a\"]").contains("the handler \"a\" is named twice"));
        assert!(problem("[[pool]]\nname = \"q\"\ncommand = []").contains("command must name a program"));
    }
}
