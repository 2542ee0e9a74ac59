//! What a pool is told, as `[[pool]]` of the agent's configuration spells it.

use std::time::Duration;

use serde::Deserialize;
use windlass_shared::limits;

use super::life::Recycling;
use super::memory::Bytes;
use super::sizing::Policy;
use crate::config::{ConfigError, is_name};
use crate::confine::ConfineOptions;

/// Frames that may wait in a worker's pipe beside the one it works on, where it is able to give them back. Waking a process costs
/// about 50 µs: 32 of them hide that for jobs of a few microseconds, and more would only be further to recall.
const PREFETCH_MAX: u32 = 32;
/// Workers of one pool.
pub(super) const WORKERS_MAX: u32 = 1_024;
/// Starts at a time unless a pool says otherwise: an interpreter that loads its modules has a core to itself, and a host with
/// many cores has one disk.
const START_CONCURRENCY: usize = 4;
/// Longest of the times of a pool: a day is a unit mistaken.
const SECONDS_MAX: u32 = 24 * 3600;
/// Longest life of a worker: a year is as good as none.
const AGE_SECONDS_MAX: u32 = 365 * SECONDS_MAX;
/// Calls of a worker where its pool says nothing of them, and the age before which they do not count.
const JOBS_MAX: u32 = 1_000;
const JOBS_FROM: Duration = Duration::from_secs(60);

/// How a pool decides how many workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All of them, always.
    Static,
    /// As many as there is work for, and some to spare, between `min` and `max`.
    Dynamic,
    /// As many as there is work for, and none without any.
    Ondemand,
}

/// One `[[pool]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolOptions {
    /// Its name, one each on an agent: 1 to 128 of `[a-zA-Z0-9._-]`.
    pub name: String,
    /// Program and arguments of a worker; a program without a slash is looked up on the agent's PATH.
    pub command: Vec<String>,
    /// Handlers its workers have. Absent: those that they announce, which the first worker is started at once to say.
    #[serde(default)]
    pub handlers: Vec<String>,
    /// How it decides how many workers run. Absent: static, where `min` is absent or as large as `max`; ondemand, where it is
    /// 0; else dynamic.
    pub mode: Option<Mode>,
    /// Workers that always run. Absent: as many as `max` where the pool is static, 1 where it is dynamic, else 0.
    pub min: Option<u32>,
    /// Workers that may run, each of which has one of the agent's slots whether it runs or not. Absent: 1.
    #[serde(default = "one")]
    pub max: u32,
    /// Workers that a dynamic pool keeps ready for the next call, as far as `max` lets it. Absent: 1.
    pub min_idle: Option<u32>,
    /// Seconds without a call after which a worker that is not needed ends, 1 to 86400. Absent: 300 where the pool is dynamic,
    /// 10 where it is ondemand.
    pub idle_timeout_s: Option<u32>,
    /// Seconds between two workers that a dynamic pool lets go because they idle, 1 to 86400. Absent: 10.
    // Load that comes back within a minute finds most of the pool still there.
    #[serde(default = "shrink_interval")]
    pub shrink_interval_s: u32,
    /// Workers between their start and their hello at a time, 1 to 1024. Absent: 4, or the number of cores where that is less.
    pub start_concurrency: Option<u32>,
    /// Calls after which a worker is replaced, give or take a tenth; 0: never. Absent: 1000, and not within its first minute.
    // A leak of a megabyte a call is a gigabyte by then. Calls of microseconds would spend more on new processes than on
    // themselves, hence the minute.
    pub max_jobs: Option<u32>,
    /// Seconds after which a worker is replaced, give or take a tenth, 1 to 31536000. Absent: never.
    pub max_age_s: Option<u32>,
    /// Memory of a worker's tree above which it is replaced after its call, such as 512000000 or "512MiB". Absent: four fifths of
    /// `memory_limit`, where there is one.
    pub max_rss: Option<Bytes>,
    /// Memory of a worker's tree above which it is stopped with its call; where control groups keep it, by the kernel. Absent: none.
    pub memory_limit: Option<Bytes>,
    /// Calls that may wait in a worker's pipe beside the one it works on, 0 to 32, where the worker is able to give them back.
    /// Absent: 32; how many of them are worth it follows from how long calls take.
    #[serde(default = "prefetch")]
    pub prefetch: u32,
    /// Kill its workers when the lease runs out, which calls with ON_DISCONNECT_FENCE need. Absent: no.
    #[serde(default)]
    pub fence: bool,
    /// Environment variables beside the agent's base ones.
    #[serde(default)]
    pub env: std::collections::BTreeMap<String, String>,
    /// Working directory, absolute. Absent: the data directory.
    pub cwd: Option<std::path::PathBuf>,
    /// Seconds from its start to its hello. Absent: 10.
    // What an interpreter with its imports takes on a busy host.
    #[serde(default = "start_timeout")]
    pub start_timeout_s: u32,
    /// What its workers may do; what is not said here is as `[exec]` says.
    #[serde(flatten)]
    pub confine: ConfineOptions,
}

const fn one() -> u32 {
    1
}

const fn prefetch() -> u32 {
    PREFETCH_MAX
}

const fn start_timeout() -> u32 {
    10
}

const fn shrink_interval() -> u32 {
    10
}

impl PoolOptions {
    /// How it decides how many workers run.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.mode, self.min) {
            (Some(mode), _) => mode,
            (None, Some(0)) => Mode::Ondemand,
            (None, Some(min)) if min != self.max => Mode::Dynamic,
            (None, _) => Mode::Static,
        }
    }

    /// Workers that always run.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.min.unwrap_or(match self.mode() {
            Mode::Static => self.max,
            Mode::Dynamic => 1,
            Mode::Ondemand => 0,
        })
    }

    /// What it says of its size comes to on a host with so many cores.
    pub(super) fn policy(&self, cores: usize) -> Policy {
        let (mode, seconds) = (self.mode(), |seconds: u32| Duration::from_secs(seconds.into()));
        let idle_timeout = self.idle_timeout_s.unwrap_or(if mode == Mode::Ondemand { 10 } else { 300 });
        let start_concurrency = self.start_concurrency.map_or(START_CONCURRENCY.min(cores), |many| many as usize);
        Policy {
            mode,
            min: self.min() as usize,
            max: self.max as usize,
            min_idle: self.min_idle.unwrap_or(1) as usize,
            idle_timeout: seconds(idle_timeout),
            shrink_interval: seconds(self.shrink_interval_s),
            start_concurrency: start_concurrency.max(1),
        }
    }

    /// When its workers are replaced.
    pub(super) fn recycling(&self) -> Recycling {
        let limit = self.memory_limit.map(|limit| limit.0);
        Recycling {
            jobs_max: Some(self.max_jobs.unwrap_or(JOBS_MAX)).filter(|max| *max > 0),
            jobs_from: if self.max_jobs.is_some() { Duration::ZERO } else { JOBS_FROM },
            age_max: self.max_age_s.map(|seconds| Duration::from_secs(seconds.into())),
            rss_max: self.max_rss.map(|max| max.0).or(limit.map(|limit| limit / 5 * 4)),
            memory_limit: limit,
        }
    }

    /// Whether the workers of both are the same, and only how many there are, and when they are replaced, may differ.
    pub(super) fn is_same_worker(&self, other: &Self) -> bool {
        // What is not named here is of the worker itself, also what is added one day.
        let Self { mode, min, max, min_idle, idle_timeout_s, shrink_interval_s, start_concurrency, .. } = *other;
        let Self { max_jobs, max_age_s, max_rss, prefetch, start_timeout_s, .. } = *other;
        let bounds =
            Self { mode, min, max, min_idle, idle_timeout_s, shrink_interval_s, start_concurrency, ..self.clone() };
        Self { max_jobs, max_age_s, max_rss, prefetch, start_timeout_s, ..bounds } == *other
    }

    pub(super) fn start_timeout(&self) -> Duration {
        Duration::from_secs(self.start_timeout_s.into())
    }

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

/// Looks at every bound of all pools, which must fit into the slots.
///
/// # Errors
/// The first thing that cannot be right.
pub(crate) fn check_pools(pools: &[PoolOptions], slots: u32) -> Result<(), ConfigError> {
    let bad = |problem: String| Err(ConfigError::new("config", problem));
    if pools.len() > limits::POOLS_MAX {
        return bad(format!("holds {} pools, the limit is {}", pools.len(), limits::POOLS_MAX));
    }
    let (mut names, mut handlers, mut workers) = (Vec::new(), Vec::new(), 0_u32);
    for pool in pools {
        if let Err(problem) = pool.check() {
            return bad(format!("[[pool]] {:?}: {problem}", pool.name));
        }
        if names.contains(&&pool.name) {
            return bad(format!("has two pools named {:?}", pool.name));
        }
        for handler in &pool.handlers {
            if handlers.contains(&handler) {
                return bad(format!("[[pool]] {:?}: the handler {handler:?} is named twice", pool.name));
            }
            handlers.push(handler);
        }
        names.push(&pool.name);
        workers += pool.max;
    }
    if workers > slots {
        return bad(format!(
            "the pools have {workers} workers, and the agent {slots} slots: raise --slots or lower max"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(text: &str) -> Vec<PoolOptions> {
        #[derive(Deserialize)]
        struct File {
            pool: Vec<PoolOptions>,
        }
        toml::from_str::<File>(text).unwrap().pool
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let pool = &pools("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\nmax = 3\n")[0];
        assert_eq!((pool.min(), pool.prefetch, pool.start_timeout_s, pool.fence), (3, 32, 10, false));
        assert_eq!(check_pools(std::slice::from_ref(pool), 3), Ok(()));
        let mode = |rest: &str| {
            let pool = &pools(&format!("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\nmax = 3\n{rest}\n"))[0];
            (pool.mode(), pool.min())
        };
        assert_eq!(mode(""), (Mode::Static, 3));
        assert_eq!(mode("min = 3"), (Mode::Static, 3));
        assert_eq!(mode("min = 2"), (Mode::Dynamic, 2));
        assert_eq!(mode("min = 0"), (Mode::Ondemand, 0));
        assert_eq!(mode("mode = \"dynamic\""), (Mode::Dynamic, 1));
        assert_eq!(mode("mode = \"ondemand\""), (Mode::Ondemand, 0));
    }

    #[test]
    fn a_change_of_size_leaves_the_workers_what_they_are_and_any_other_does_not() {
        let of = |rest: &str| pools(&format!("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\n{rest}\n")).remove(0);
        let plain = of("");
        for same in
            ["max = 3", "max_jobs = 1", "mode = \"dynamic\"\nmin_idle = 0", "start_timeout_s = 3", "max_rss = \"9MiB\""]
        {
            assert!(plain.is_same_worker(&of(same)), "{same}");
        }
        for other in ["cwd = \"/x\"", "env = { A = \"1\" }", "handlers = [\"a\"]", "memory_limit = \"9MiB\""] {
            assert!(!plain.is_same_worker(&of(other)), "{other}");
        }
    }

    #[test]
    fn when_a_worker_is_replaced_follows_from_what_is_said_and_has_bounds_where_nothing_is() {
        let of = |rest: &str| pools(&format!("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\n{rest}\n"))[0].recycling();
        let bounds = of("");
        assert_eq!((bounds.jobs_max, bounds.jobs_from), (Some(1_000), Duration::from_secs(60)));
        assert_eq!((bounds.age_max, bounds.rss_max, bounds.memory_limit), (None, None, None));
        assert_eq!(of("max_jobs = 0").jobs_max, None);
        assert_eq!((of("max_jobs = 5").jobs_max, of("max_jobs = 5").jobs_from), (Some(5), Duration::ZERO));
        let bounds = of("memory_limit = \"100MiB\"");
        assert_eq!((bounds.memory_limit, bounds.rss_max), (Some(100 << 20), Some(80 << 20)));
    }

    #[test]
    fn the_cores_bound_how_many_start_at_a_time_unless_the_pool_says_it() {
        let starts = |rest: &str, cores| {
            let text = format!("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\n{rest}\n");
            pools(&text)[0].policy(cores).start_concurrency
        };
        assert_eq!([1, 2, 64].map(|cores| starts("", cores)), [1, 2, 4]);
        assert_eq!(starts("start_concurrency = 32", 1), 32);
    }

    #[test]
    fn what_cannot_be_right_is_named_by_its_pool() {
        let problem = |rest: &str| {
            let text = format!("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\n{rest}\n");
            check_pools(&pools(&text), 2).unwrap_err().to_string()
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
