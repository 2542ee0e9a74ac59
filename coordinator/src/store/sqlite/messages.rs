//! The stored messages, field by field. A number once used is never used for anything else.
//!
//! Ids and digests are plain vectors: to write a `Bytes`, prost clones it, and the first clone of one made for the occasion allocates.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

/// A job without its spec and its attempts; its id is the row's key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HeadRow {
    #[prost(uint32, tag = "1")]
    pub(super) state: u32,
    #[prost(uint32, tag = "2")]
    pub(super) generation: u32,
    #[prost(uint64, tag = "3")]
    pub(super) revision: u64,
    #[prost(uint64, tag = "4")]
    pub(super) order: u64,
    #[prost(sfixed64, tag = "5")]
    pub(super) created_at: i64,
    #[prost(sfixed64, tag = "6")]
    pub(super) updated_at: i64,
    #[prost(sfixed64, optional, tag = "7")]
    pub(super) ended_at: Option<i64>,
    #[prost(sfixed64, optional, tag = "8")]
    pub(super) ready_at: Option<i64>,
    #[prost(uint32, tag = "9")]
    pub(super) reason: u32,
    #[prost(string, optional, tag = "10")]
    pub(super) detail: Option<String>,
    #[prost(bool, tag = "11")]
    pub(super) cancel_requested: bool,
    #[prost(uint32, tag = "12")]
    pub(super) failures: u32,
    #[prost(uint32, tag = "13")]
    pub(super) infra_losses: u32,
    #[prost(uint32, tag = "14")]
    pub(super) interruptions: u32,
    #[prost(uint32, tag = "15")]
    pub(super) attempts: u32,
    #[prost(string, tag = "16")]
    pub(super) queue: String,
    #[prost(sint32, tag = "17")]
    pub(super) priority: i32,
    #[prost(uint32, tag = "18")]
    pub(super) preset: u32,
    #[prost(uint32, tag = "19")]
    pub(super) attempts_max: u32,
    #[prost(uint32, tag = "20")]
    pub(super) execution: u32,
    #[prost(uint32, tag = "21")]
    pub(super) on_agent_lost: u32,
    #[prost(string, optional, tag = "22")]
    pub(super) handler: Option<String>,
    #[prost(uint32, tag = "23")]
    pub(super) worker_deaths: u32,
    #[prost(string, optional, tag = "24")]
    pub(super) program: Option<String>,
    /// As `convert::demand_bytes` has it; empty: it asks nothing.
    #[prost(bytes = "bytes", tag = "25")]
    pub(super) demand: Bytes,
    /// As `convert::retry_plan_bytes` has it; empty: it says no more than a preset and a number.
    #[prost(bytes = "bytes", tag = "26")]
    pub(super) retry_plan: Bytes,
    #[prost(message, optional, tag = "27")]
    pub(super) tried: Option<TriedRow>,
    #[prost(bool, tag = "28")]
    pub(super) dead_lettered: bool,
    #[prost(uint32, tag = "29")]
    pub(super) spec_bytes: u32,
}

/// What a job remembers of the attempts that failed.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TriedRow {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) agents: Vec<Bytes>,
    #[prost(bool, tag = "2")]
    pub(super) other_agent: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) wait: Option<Span>,
    #[prost(uint32, repeated, tag = "4")]
    pub(super) rule_uses: Vec<u32>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) memory: Option<u64>,
    #[prost(uint32, tag = "6")]
    pub(super) uncharged: u32,
}

/// An attempt; its job's id is the row's key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AttemptRow {
    #[prost(uint32, tag = "1")]
    pub(super) number: u32,
    #[prost(uint32, tag = "2")]
    pub(super) state: u32,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) agent: Vec<u8>,
    #[prost(string, tag = "4")]
    pub(super) agent_name: String,
    #[prost(fixed64, tag = "5")]
    pub(super) agent_instance: u64,
    #[prost(uint64, tag = "6")]
    pub(super) fencing_token: u64,
    #[prost(sfixed64, tag = "7")]
    pub(super) leased_at: i64,
    #[prost(sfixed64, optional, tag = "8")]
    pub(super) started_at: Option<i64>,
    #[prost(sfixed64, optional, tag = "9")]
    pub(super) ended_at: Option<i64>,
    #[prost(message, optional, tag = "10")]
    pub(super) outcome: Option<OutcomeRow>,
    #[prost(fixed64, tag = "11")]
    pub(super) agent_boot: u64,
    #[prost(uint64, tag = "12")]
    pub(super) result_bytes: u64,
    #[prost(string, optional, tag = "13")]
    pub(super) retry_rule: Option<String>,
    #[prost(message, repeated, tag = "14")]
    pub(super) grants: Vec<GrantRow>,
}

/// Devices of one kind that an attempt has.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GrantRow {
    #[prost(string, tag = "1")]
    pub(super) device: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) ids: Vec<String>,
    #[prost(uint32, tag = "3")]
    pub(super) share_milli: u32,
}

/// What an operator decided; what it is about is the row's key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MarkRow {
    /// 1 a pause, 2 a cordon, 3 a drain, 4 a limit, 5 a cooldown, 6 settings of a queue that is not paused.
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    #[prost(string, optional, tag = "2")]
    pub(super) reason: Option<String>,
    #[prost(string, tag = "3")]
    pub(super) agent_name: String,
    #[prost(sfixed64, optional, tag = "4")]
    pub(super) until: Option<i64>,
    #[prost(message, optional, tag = "5")]
    pub(super) limit: Option<LimitRow>,
    #[prost(message, optional, tag = "6")]
    pub(super) queue: Option<QueueRow>,
}

/// What operators set of a queue.
#[derive(Clone, PartialEq, Message)]
pub(super) struct QueueRow {
    #[prost(uint32, tag = "1")]
    pub(super) weight: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) limit: Option<LimitRow>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) depth_max: Option<u32>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) bytes_max: Option<u64>,
    #[prost(message, optional, tag = "5")]
    pub(super) aging_step: Option<Span>,
    #[prost(uint32, tag = "6")]
    pub(super) placement: u32,
    #[prost(btree_map = "string, uint32", tag = "7")]
    pub(super) fairness_weights: BTreeMap<String, u32>,
    #[prost(message, optional, tag = "8")]
    pub(super) unsatisfiable_after: Option<Span>,
}

/// What a limit allows.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct LimitRow {
    #[prost(uint32, optional, tag = "1")]
    pub(super) units_max: Option<u32>,
    #[prost(message, optional, tag = "2")]
    pub(super) rate: Option<RateRow>,
}

/// What may begin over time.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct RateRow {
    #[prost(uint64, tag = "1")]
    pub(super) cost: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) period: Option<Span>,
    #[prost(uint64, tag = "3")]
    pub(super) burst: u64,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OutcomeRow {
    #[prost(uint32, tag = "1")]
    pub(super) state: u32,
    #[prost(uint32, tag = "2")]
    pub(super) reason: u32,
    #[prost(string, optional, tag = "3")]
    pub(super) detail: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) exit: Option<ExitRow>,
    #[prost(message, optional, tag = "5")]
    pub(super) spawn_failure: Option<SpawnRow>,
    #[prost(uint64, tag = "6")]
    pub(super) stdout_bytes: u64,
    #[prost(uint64, tag = "7")]
    pub(super) stderr_bytes: u64,
    #[prost(message, optional, tag = "8")]
    pub(super) result: Option<ResultRow>,
    #[prost(message, optional, tag = "9")]
    pub(super) error: Option<ErrorRow>,
}

/// What a handler answered.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ResultRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) value: Bytes,
    #[prost(string, optional, tag = "2")]
    pub(super) content_type: Option<String>,
}

/// An error that a handler answered.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorRow {
    #[prost(string, optional, tag = "1")]
    pub(super) code: Option<String>,
    #[prost(bool, tag = "2")]
    pub(super) permanent: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) retry_after: Option<Span>,
    #[prost(string, optional, tag = "4")]
    pub(super) cooldown_key: Option<String>,
}

/// How a process ended: by a code, by a signal, or nobody saw.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExitRow {
    #[prost(uint32, optional, tag = "1")]
    pub(super) code: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) signal: Option<u32>,
    #[prost(bool, tag = "3")]
    pub(super) core_dumped: bool,
    #[prost(message, optional, tag = "4")]
    pub(super) user_time: Option<Span>,
    #[prost(message, optional, tag = "5")]
    pub(super) system_time: Option<Span>,
    #[prost(uint64, tag = "6")]
    pub(super) max_rss_bytes: u64,
    #[prost(message, optional, tag = "7")]
    pub(super) wall_time: Option<Span>,
    #[prost(uint32, tag = "8")]
    pub(super) proof: u32,
}

/// Why no process was started.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SpawnRow {
    #[prost(string, tag = "1")]
    pub(super) stage: String,
    #[prost(int32, tag = "2")]
    pub(super) errno: i32,
}

/// A time span.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Span {
    #[prost(uint64, tag = "1")]
    pub(super) seconds: u64,
    #[prost(uint32, tag = "2")]
    pub(super) nanos: u32,
}

/// Number of the field of [`EventsRow`].
pub(super) const EVENTS_TAG: u32 = 1;

/// The changes of one commit.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventsRow {
    #[prost(message, repeated, tag = "1")]
    pub(super) events: Vec<EventRow>,
}

/// One change.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventRow {
    #[prost(uint64, tag = "1")]
    pub(super) revision: u64,
    #[prost(sfixed64, tag = "2")]
    pub(super) time: i64,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) job: Vec<u8>,
    #[prost(uint32, tag = "4")]
    pub(super) state: u32,
    #[prost(uint32, tag = "5")]
    pub(super) attempt: u32,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(super) agent: Option<Vec<u8>>,
    #[prost(uint32, tag = "7")]
    pub(super) reason: u32,
}

/// A submit that may be repeated; its id is the row's key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestRow {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) digest: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) job: Vec<u8>,
    #[prost(sfixed64, tag = "3")]
    pub(super) at: i64,
}
