//! What a pool is told, as `[[pool]]` of the agent's configuration spells it.

use std::time::Duration;

use serde::Deserialize;

use super::bytes::Bytes;
use super::life::Recycling;
use super::sizing::{Mode, Policy};
use crate::confine::ConfineOptions;

/// Frames that may wait in a worker's pipe beside the one it works on, where it is able to give them back. Waking a process costs
/// about 50 µs: 32 of them hide that for jobs of a few microseconds, and more would only be further to recall.
pub(super) const PREFETCH_MAX: u32 = 32;
/// Starts at a time unless a pool says otherwise: an interpreter that loads its modules has a core to itself, and a host with
/// many cores has one disk.
const START_CONCURRENCY: usize = 4;
/// Calls of a worker where its pool says nothing of them, and the age before which they do not count.
const JOBS_MAX: u32 = 1_000;
const JOBS_FROM: Duration = Duration::from_secs(60);

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

    /// Memory of a worker's tree at which it is stopped, in bytes; none: none.
    pub(crate) fn memory_limit_bytes(&self) -> Option<u64> {
        self.memory_limit.map(|limit| limit.0)
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
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::bounds::check_pools;
    use super::*;

    pub(crate) fn pools(text: &str) -> Vec<PoolOptions> {
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
}
