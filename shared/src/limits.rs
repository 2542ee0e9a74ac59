//! What one request may hold. Every bound is named in the error that refuses it.

use std::time::Duration;

/// Largest encoded `JobSpec`: four times the inline payload, so that argv and env have room beside it.
pub const SPEC_BYTES_MAX: usize = 1 << 20;
/// Largest inline payload, such as standard input, a call's input or its result; above it belongs in the blob store.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;
/// Largest gRPC message either way: the 4 MiB every gRPC stack accepts by default.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Jobs in one batch submit: at 100 bytes a job this is well under [`MESSAGE_BYTES_MAX`].
pub const BATCH_ITEMS_MAX: usize = 10_000;
/// Arguments of one command; the kernel's own limit is on bytes, which [`SPEC_BYTES_MAX`] keeps far below it.
pub const ARGV_ITEMS_MAX: usize = 16_384;
/// Environment variables of one command.
pub const ENV_ITEMS_MAX: usize = 4_096;
/// Longest single argument or variable: Linux's `MAX_ARG_STRLEN`, 32 pages, one byte of which is the final NUL.
pub const ARG_BYTES_MAX: usize = (128 << 10) - 1;
/// Labels of one job.
pub const LABELS_MAX: usize = 64;
/// Longest label key.
pub const LABEL_KEY_BYTES_MAX: usize = 128;
/// Longest label value.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Longest name of a queue, agent or handler.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest reason an operator may give.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Longest explanation an agent may give of an outcome.
pub const DETAIL_BYTES_MAX: usize = 4_096;
/// Longest `request_id`: a UUID in text.
pub const REQUEST_ID_BYTES_MAX: usize = 36;
/// Greatest priority; the least is its negative.
pub const PRIORITY_MAX: i8 = 100;
/// Devices of one agent, of all kinds: sixteen hosts' worth of the largest there are.
pub const DEVICES_MAX: usize = 256;
/// Longest id of a device: a GPU's UUID takes 40 bytes, a slice of one a little more.
pub const DEVICE_ID_BYTES_MAX: usize = 64;
/// Greatest weight of an agent.
pub const WEIGHT_MAX: u32 = 1_000;
/// Pools of one agent.
pub const POOLS_MAX: usize = 64;
/// Counters that one agent says: four times what there are, for agents that are newer than whoever reads them.
pub const AGENT_COUNTS_MAX: usize = 64;
/// Workers of one pool: more is a host of its own.
pub const WORKERS_MAX: usize = 1_024;
/// Asks that wait for one agent: a page of pools takes one, so this is sixteen operators at once.
pub const AGENT_ASKS_MAX: usize = 16;
/// Asks that wait for one pool, beside the one it answers: operators are few, and what waits longer is asked again.
pub const POOL_ASKS_MAX: usize = 16;
/// Lines of standard error kept of the worker that opened a breaker: the end of a traceback.
pub const BREAKER_LINES_MAX: usize = 20;
/// Longest of them; what is longer is cut.
pub const BREAKER_LINE_BYTES_MAX: usize = 512;
/// Longest end of a worker's own output in one answer: 64 KiB, a full pipe.
pub const WORKER_LOG_TAIL_BYTES_MAX: u32 = 64 << 10;
/// Handlers of one pool.
pub const HANDLERS_MAX: usize = 256;
/// Longest media type of an input or a result.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Headers of one call.
pub const HEADERS_MAX: usize = 64;
/// Names and values of one call's headers together: what HTTP servers commonly take.
pub const HEADERS_BYTES_MAX: usize = 8 << 10;
/// Longest `tracestate`: what W3C Trace Context asks all to pass on.
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// Longest error code of a handler.
pub const ERROR_CODE_BYTES_MAX: usize = 128;
/// Labels one list may filter by.
pub const LABEL_FILTERS_MAX: usize = 16;
/// Most attempts a job may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// Rules of one retry policy: whoever needs more means a program.
pub const RETRY_RULES_MAX: usize = 32;
/// Values in one part of a rule's match.
pub const RETRY_MATCHES_MAX: usize = 64;
/// Times in one list of waits.
pub const DELAYS_MAX: usize = 64;
/// Longest wait a handler may ask for before its next attempt: a day; more is taken as that.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest time a drain may give what runs: a year; whoever wants no end leaves it out.
pub const DRAIN_DEADLINE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Longest run timeout: a year; more is a unit mistaken.
pub const RUN_TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Longest time between the stop signal and the kill.
pub const STOP_GRACE_MAX: Duration = Duration::from_secs(3600);
/// Longest single wait of a `WaitJob`: below what proxies cut idle calls at.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Ids one watch may name.
pub const WATCH_IDS_MAX: usize = 10_000;
/// Largest page of any list.
pub const PAGE_MAX: usize = 1_000;
/// Largest piece of a log in one answer.
pub const LOG_READ_BYTES_MAX: usize = 1 << 20;
/// News in one report, and attempts in one assignment.
pub const REPORT_ITEMS_MAX: usize = 1_024;
/// Attempts an agent may hold.
pub const AGENT_CAPACITY_MAX: u32 = 20_000;
/// Attempts in one hello: those an agent may hold, some it is killing, and the ends it keeps until they are acknowledged. Each
/// takes 67 bytes at most, so the largest hello fits [`MESSAGE_BYTES_MAX`].
pub const INVENTORY_ITEMS_MAX: usize = 60_000;
/// Named resources that one job takes, or one agent has, kinds of devices among them.
pub const RESOURCES_MAX: usize = 32;
/// Largest amount of a resource, in thousandths: below 2^53, so that it is exact in JSON.
pub const RESOURCE_AMOUNT_MAX: u64 = 1_000_000_000_000_000;
/// Constraints of one job.
pub const CONSTRAINTS_MAX: usize = 32;
/// Values one constraint compares with.
pub const CONSTRAINT_VALUES_MAX: usize = 64;
/// Affinities of one job: each is looked at for every agent in question.
pub const AFFINITIES_MAX: usize = 16;
/// Greatest weight of an affinity; the least is its negative.
pub const AFFINITY_WEIGHT_MAX: i32 = 100;
/// Limits that one job counts against, beside its queue's.
pub const LIMIT_USES_MAX: usize = 8;
/// Most units, and greatest cost, of one use of a limit, and greatest cost of a fair share.
pub const COST_MAX: u32 = 1_000_000;
/// Most units of a limit: more is no limit.
pub const LIMIT_UNITS_MAX: u32 = 1_000_000_000;
/// Shortest period of a rate: the scheduler decides in ticks of milliseconds, and a second smooths them.
pub const RATE_PERIOD_MIN: Duration = Duration::from_secs(1);
/// Longest period of a rate: a month, the longest that upstreams meter by.
pub const RATE_PERIOD_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Longest cooldown that an operator may ask for: past a month it is a limit of 0 units.
pub const COOLDOWN_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Fairness keys that a queue's settings give weights to: those that are not named have 1, and nobody keeps more by hand.
pub const FAIRNESS_WEIGHTS_MAX: usize = 1_000;
/// Greatest weight of a queue or of a fairness key, beside 1 for the least.
pub const SHARE_WEIGHT_MAX: u32 = 1_000_000;
/// Most jobs that a queue's settings may let wait: far above what one coordinator holds.
pub const QUEUE_DEPTH_MAX: u32 = 1_000_000_000;
/// Most bytes of specs that a queue's settings may let wait: below 2^53, so that it is exact in JSON.
pub const QUEUE_BYTES_MAX: u64 = 1_000_000_000_000_000;
/// Longest waiting time for one step of priority: at a week, priority alone decides in practice.
pub const AGING_STEP_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest time that a job waits for an agent that could run it, before it fails; longer is for ever.
pub const UNSATISFIABLE_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Longest lifetime a job may ask of its agent: a year; more is a unit mistaken.
pub const LIFETIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// States in one filter: more than there are.
pub const FILTER_STATES_MAX: usize = 16;

/// Whether this is a name: of a queue, an agent, a pool, a handler or a group.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(allowed)
}

/// Whether this is a key: of a fair share, an order, a limit, or of what is unique. Wider than a name, since keys are made of others'
/// ids, such as `tenant:42` or `s3://bucket`.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(allowed)
}
